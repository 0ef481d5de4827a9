"""The one place that builds Kafka clients for executors, with our settings and around the client's traps."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.protocol.group import JoinGroupRequest

from holdfast.streams.executor.limits import CLOSE_S

_log = logging.getLogger(__name__)


class MissingTopicsError(Exception):
    """The broker lacks topics that an executor needs."""


@lru_cache(maxsize=16_384)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def _partition(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """The client's own partitioner with a memory: a workflow reports many times, and murmur2 in Python costs 6 us."""
    if key is None:
        return random.choice(available or partitions)
    return partitions[_hash(key) % len(partitions)]


async def check_topics(bootstrap: str, names: Collection[str]) -> None:
    """Raises MissingTopicsError if one of the topics does not exist: a consumer would wait for it in silence."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        missing = sorted(set(names) - set(await admin.list_topics()))
    finally:
        await admin.close()
    if missing:
        raise MissingTopicsError(f"the broker has no topic {', '.join(missing)}: run `holdfast topics apply`")


@asynccontextmanager
async def producer(bootstrap: str, client_id: str) -> AsyncIterator[AIOKafkaProducer]:
    """An idempotent producer. One in-flight request per broker makes large batches cheaper than waiting for them."""
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        compression_type="lz4",
        max_batch_size=256 * 1024,
        partitioner=_partition,
    )
    await client.start()
    try:
        yield client
    finally:
        # An idempotent producer retries for ever: without a broker its flush would never end.
        await _bounded(client.stop())


@asynccontextmanager
async def group_consumer(
    topic: str,
    *,
    bootstrap: str,
    group_id: str,
    client_id: str,
    instance_id: str,
    session_timeout_ms: int,
    listener: ConsumerRebalanceListener,
) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of a group, a static one if `instance_id` is given; offsets are committed by the caller."""
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=instance_id or client_id,
        group_id=group_id,
        group_instance_id=instance_id or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=min(3_000, session_timeout_ms // 3),
    )
    client.subscribe([topic], listener=listener)
    await client.start()
    try:
        yield client
    finally:
        # aiokafka never sends LeaveGroup for a static member, so a clean stop would idle its partitions for a whole
        # session timeout. Static membership is for processes that did not get to say goodbye.
        client._coordinator._group_instance_id = None
        await _bounded(client.stop())


async def replaced_by_twin(consumer: AIOKafkaConsumer, *, bootstrap: str, group_id: str, instance_id: str) -> bool:
    """True if another process has joined the group under our instance id.

    The client is only told that it is no longer a member. It would join again, throw the other one out, and both
    would go on doing so for ever, each making the other's calls a second time.
    """
    if not instance_id or consumer._coordinator.member_id != JoinGroupRequest.UNKNOWN_MEMBER_ID:
        return False
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (response,) = await admin.describe_consumer_groups([group_id])
    finally:
        await admin.close()
    # Per member: (member id, client id, ...); per group the members come sixth.
    return any(member[1] == instance_id for group in response.groups for member in group[5])


@asynccontextmanager
async def tail_consumer(topic: str, *, bootstrap: str, client_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of all partitions without a group, which stands at their ends by the time it is handed out."""
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, client_id=client_id, auto_offset_reset="latest")
    await client.start()
    try:
        await client._client._wait_on_metadata(topic)
        partitions = [TopicPartition(topic, number) for number in client.partitions_for_topic(topic) or ()]
        client.assign(partitions)
        await client.seek_to_end(*partitions)
        for partition in partitions:
            await client.position(partition)
        yield client
    finally:
        await _bounded(client.stop())


async def _bounded(stopping: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(stopping, CLOSE_S)
    except (TimeoutError, KafkaError) as exc:
        _log.warning("a Kafka client did not stop cleanly: %r", exc)
