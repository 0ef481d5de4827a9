"""Following whole topics, all their partitions, for as long as a trial takes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from holdfast.ops.kafka import consumer_at, partition_count, reaching, seek_to_ends
from holdfast.schemas.codec import decode
from holdfast.schemas.record import Message, Record

POLL_MS = 200
STALL_S = 30.0


@asynccontextmanager
async def reader(bootstrap: str, names: Sequence[str], *, from_end: bool = False) -> AsyncIterator[Any]:
    """A consumer of whole topics, from their beginnings or from their ends as they are now. Raises CommandError."""
    async with consumer_at(bootstrap) as consumer:
        counts = {name: await reaching(bootstrap, partition_count(consumer, name)) for name in names}
        places = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
        if from_end:
            await seek_to_ends(consumer, places)
        else:
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
        yield consumer


async def messages(consumer: Any) -> AsyncIterator[tuple[ConsumerRecord, Message[Record]]]:
    """What a reader reads, decoded, for ever. Raises DecodeError."""
    while True:
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                yield record, decode(record.value)


async def whole(bootstrap: str, name: str) -> AsyncIterator[ConsumerRecord]:
    """Every record of a topic from its beginning to its end as it is now. Raises CommandError, TimeoutError."""
    async with reader(bootstrap, [name]) as consumer:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            batches = await asyncio.wait_for(consumer.getmany(timeout_ms=POLL_MS), STALL_S)
            for records in batches.values():
                for record in records:
                    yield record
