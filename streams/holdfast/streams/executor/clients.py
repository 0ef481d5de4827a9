"""The one place that builds Kafka clients for executors, with our settings and around the client's traps."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import lru_cache

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.protocol.group import JoinGroupRequest

from holdfast.streams.executor.limits import CLOSE_S, FETCH_WAIT_MS, REPORTS_SINCE_S

_log = logging.getLogger(__name__)


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Whoever reads with a member of a group."""

    consumer: AIOKafkaConsumer


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
    listener: Listener,
) -> AsyncIterator[None]:
    """A member of a group, a static one if `instance_id` is given, for a listener; who commits offsets itself."""
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=instance_id or client_id,
        group_id=group_id,
        group_instance_id=instance_id or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=min(3_000, session_timeout_ms // 3),
    )
    listener.consumer = client  # it is asked about partitions before the start is over
    client.subscribe([topic], listener=listener)
    await client.start()
    try:
        yield
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


class From(StrEnum):
    """Where a reader without a group begins."""

    BEGINNING = "beginning"
    LATELY = "lately"
    END = "end"


@asynccontextmanager
async def news_consumer(
    topics: Mapping[str, From], *, bootstrap: str, client_id: str
) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int]]]:
    """A consumer of all partitions of topics without a group, which stands where it is to begin; and their ends.

    LATELY is REPORTS_SINCE_S ago.
    """
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, client_id=client_id, auto_offset_reset="latest", fetch_max_wait_ms=FETCH_WAIT_MS
    )
    await client.start()
    try:
        cluster = await client._client.fetch_all_metadata()
        begins = {
            TopicPartition(topic, number): where
            for topic, where in topics.items()
            for number in sorted(cluster.partitions_for_topic(topic) or ())
        }
        # All that is asked is asked before the first fetch: the broker would answer only after that has waited.
        ends = await client.end_offsets(list(begins))
        offsets = dict(ends)
        offsets |= await client.beginning_offsets([tp for tp, where in begins.items() if where is From.BEGINNING])
        since_ms = int((time.time() - REPORTS_SINCE_S) * 1000)
        lately = {tp: since_ms for tp, where in begins.items() if where is From.LATELY}
        offsets |= {tp: found.offset for tp, found in (await client.offsets_for_times(lately)).items() if found}
        client.assign(list(begins))
        for partition, offset in offsets.items():
            client.seek(partition, offset)
        yield client, ends
    finally:
        await _bounded(client.stop())


async def _bounded(stopping: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(stopping, CLOSE_S)
    except (TimeoutError, KafkaError) as exc:
        _log.warning("a Kafka client did not stop cleanly: %r", exc)
