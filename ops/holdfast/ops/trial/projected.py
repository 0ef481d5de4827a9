"""Waiting for the projections to have what the journal holds."""

import asyncio
import time

from aiokafka import TopicPartition

from holdfast.ops.kafka import consumer_at, partition_count, reaching
from holdfast.ops.trial.sandbox import Sandbox
from holdfast.projections.client import QueryError, Unreachable
from holdfast.schemas.topics import JOURNAL

POLL_S = 0.2

_LAST_OFFSETS = """
SELECT kafka_partition AS partition, max(kafka_offset) AS offset
FROM holdfast.events_by_time
WHERE topic = {topic:String}
GROUP BY partition
"""


async def journal_ends(project: Sandbox) -> dict[int, int]:
    """The offset of the last record of each partition of the journal that has one."""
    topic = project.prefix + JOURNAL.name
    async with consumer_at(project.bootstrap) as consumer:
        count = await reaching(project.bootstrap, partition_count(consumer, topic))
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(count)])
    return {place.partition: end - 1 for place, end in ends.items() if end > 0}


async def projected(project: Sandbox, *, timeout_s: float) -> bool:
    """True once ClickHouse has the journal up to its present end; False if it has not within `timeout_s`."""
    ends = await journal_ends(project)
    give_up_at = time.monotonic() + timeout_s
    while time.monotonic() < give_up_at:
        if await asyncio.to_thread(_has, project, ends):
            return True
        await asyncio.sleep(POLL_S)
    return False


def _has(project: Sandbox, ends: dict[int, int]) -> bool:
    try:
        rows = project.clickhouse.query(_LAST_OFFSETS, {"topic": project.prefix + JOURNAL.name})
    except (QueryError, Unreachable):
        return False  # the sink is being started
    known = {int(row["partition"]): int(row["offset"]) for row in rows}
    return all(known.get(partition, -1) >= end for partition, end in ends.items())
