"""Reading whole topics from outside, without a group: for audits and commands."""

from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

POLL_MS = 500


async def all_records(bootstrap: str, topic: str) -> AsyncIterator[Any]:
    """Every record of a topic, up to its present ends; in order within each partition. Raises Kafka errors."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        numbers = await consumer._client.fetch_all_metadata()
        partitions = [TopicPartition(topic, n) for n in sorted(numbers.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        open_partitions = set(partitions)
        while open_partitions:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    yield record
            open_partitions = {tp for tp in open_partitions if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()
