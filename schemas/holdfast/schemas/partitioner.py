"""murmur2 over the key bytes, as in Kafka's Java client: part of the contract with every producer."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key. librdkafka clients get the same with `partitioner=murmur2_random`."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
