"""Is ClickHouse what the journal says? Both are read in full and compared event by event, by hash."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.projections.batch import KafkaRecord
from holdfast.projections.client import ClickHouse
from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.topics import JOURNAL

SAMPLES = 20
PAGE_ROWS = 100_000
READ_TIMEOUT_S = 60

Key = tuple[str, str, int]
"""Tenant, workflow id, sequence."""

_PAGE = """
SELECT tenant, workflow_id, sequence, lower(hex(argMin(hash, kafka_offset))) AS hash
FROM holdfast.events
WHERE topic = {topic:String} AND kafka_partition = {partition:UInt32}
  AND (tenant, workflow_id, sequence) > ({tenant:String}, {workflow:String}, {sequence:UInt64})
GROUP BY tenant, workflow_id, sequence
ORDER BY tenant, workflow_id, sequence
LIMIT {rows:UInt32}
"""


@dataclass(kw_only=True)
class Comparison:
    """What the comparison found. `events` counts the journal's events, the first of each sequence only.

    The lists hold up to SAMPLES keys (tenant, workflow id, sequence) each; `unreadable` counts journal records that
    cannot be decoded.
    """

    events: int = 0
    repeats: int = 0
    unreadable: int = 0
    missing: int = 0
    extra: int = 0
    differing: int = 0
    missing_samples: list[Key] = field(default_factory=list)
    extra_samples: list[Key] = field(default_factory=list)
    differing_samples: list[Key] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """True if ClickHouse holds exactly the journal's events."""
        return not (self.missing or self.extra or self.differing)


def compare(bootstrap: str, topic_prefix: str, client: ClickHouse) -> Comparison:
    """Compare the whole journal with the `events` table. Raises what the clients raise, TimeoutError if Kafka stalls.

    Events appended while it runs count as missing until the sink has stored them: compare a journal at rest.
    """
    return asyncio.run(_compare(bootstrap, topic_prefix + JOURNAL.name, client))


async def _compare(bootstrap: str, topic: str, client: ClickHouse) -> Comparison:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    found = Comparison()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        # An assignment makes the client ask for the topic's metadata.
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.beginning_offsets([TopicPartition(topic, 0)])
        for partition in sorted(consumer.partitions_for_topic(topic) or ()):
            place = TopicPartition(topic, partition)
            expected = await _journal(consumer, place, found)
            await asyncio.to_thread(_match, client, place, expected, found)
    finally:
        await consumer.stop()
    return found


async def _journal(consumer: Any, place: Any, found: Comparison) -> dict[Key, str]:
    """The hash of the first event of each sequence in one partition: readers treat it as the only one."""
    expected: dict[Key, str] = {}
    async for record in _records(consumer, place):
        try:
            meta = decode(record.value).meta
        except DecodeError:
            found.unreadable += 1
            continue
        key = (meta.tenant, meta.workflow_id, meta.sequence)
        if key in expected:
            found.repeats += 1
        else:
            expected[key] = meta.hash.hex()
    found.events += len(expected)
    return expected


async def _records(consumer: Any, place: Any) -> AsyncIterator[KafkaRecord]:
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    end = (await consumer.end_offsets([place]))[place]
    while await consumer.position(place) < end:
        batches = await asyncio.wait_for(consumer.getmany(timeout_ms=1_000, max_records=5_000), READ_TIMEOUT_S)
        for record in batches.get(place, ()):
            if record.offset < end:
                yield record


def _match(client: ClickHouse, place: Any, expected: dict[Key, str], found: Comparison) -> None:
    last: Key = ("", "", 0)
    while True:
        rows = client.query(
            _PAGE,
            {
                "topic": place.topic,
                "partition": place.partition,
                "tenant": last[0],
                "workflow": last[1],
                "sequence": last[2],
                "rows": PAGE_ROWS,
            },
        )
        for row in rows:
            last = (row["tenant"], row["workflow_id"], row["sequence"])
            wanted = expected.pop(last, None)
            if wanted is None:
                found.extra += 1
                _sample(found.extra_samples, last)
            elif wanted != row["hash"]:
                found.differing += 1
                _sample(found.differing_samples, last)
        if len(rows) < PAGE_ROWS:
            break
    found.missing += len(expected)
    for key in expected:
        _sample(found.missing_samples, key)


def _sample(samples: list[Key], key: Key) -> None:
    if len(samples) < SAMPLES:
        samples.append(key)
