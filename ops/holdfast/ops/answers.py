"""What the engine makes of a request: folded, refused, or a repeat of one that was folded before.

The journal and the results are the truth about that. That a repeat changes nothing leaves no event, so the inbox (where
ingress put the request) and the fold's own progress (the partition rows) are followed too.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.ops.errors import CommandError
from holdfast.ops.kafka import KAFKA_TIMEOUT_S, consumer_at, partition_count, reaching, seek_to_ends
from holdfast.schemas.codec import DecodeError, decode, decode_row, peek
from holdfast.schemas.events import InputRejected
from holdfast.schemas.ids import workflow_key
from holdfast.schemas.partitioner import partition_of
from holdfast.schemas.record import Message, Record
from holdfast.schemas.results import RequestRejected
from holdfast.schemas.state import PartitionRow
from holdfast.schemas.topics import CHANGELOG, ENDINGS, INBOX, JOURNAL, RESULTS

VERDICT_TIMEOUT_S = 10.0
POLL_MS = 200
EVENTS_LIMIT = 10_000

Event: TypeAlias = Message[Record]


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The request became these events."""

    events: tuple[Event, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The request changed nothing, for a reason with a stable code."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """The request had been folded before under the same event id, and changed nothing now."""


Verdict: TypeAlias = Folded | Refused | Repeated


def _ignore(_event: Event) -> None:
    return


class Answers:
    """Follows one workflow from the moment it is entered, so enter it *before* sending; an async context manager.

    `on_event` is called with each journal event of the workflow, once, in order. Entering raises CommandError if no
    broker answers or a topic is missing.
    """

    def __init__(
        self,
        bootstrap: str,
        topic_prefix: str,
        tenant: str,
        workflow_id: str,
        *,
        on_event: Callable[[Event], None] = _ignore,
    ) -> None:
        self._bootstrap = bootstrap
        self._key = workflow_key(tenant, workflow_id).encode()
        self._takers = {
            topic_prefix + JOURNAL.name: self._take_event,
            topic_prefix + RESULTS.name: self._take_result,
            topic_prefix + INBOX.name: self._take_input,
            topic_prefix + CHANGELOG.name: self._take_row,
        }
        self._said = (topic_prefix + JOURNAL.name, topic_prefix + RESULTS.name)
        self._on_event = on_event
        self._events: deque[Event] = deque(maxlen=EVENTS_LIMIT)
        self._sequence = 0
        self._refused: dict[str, Refused] = {}
        self._inbox_offsets: dict[str, int] = {}
        self._folded_to = -1
        self._ending: Event | None = None
        self._partition = 0
        self._open = AsyncExitStack()
        self._consumer: AIOKafkaConsumer

    async def __aenter__(self) -> "Answers":
        try:
            self._consumer = await self._open.enter_async_context(consumer_at(self._bootstrap))
            await reaching(self._bootstrap, self._stand_at_ends())
        except TimeoutError as exc:
            await self._open.aclose()
            raise CommandError(
                f"the topics could not be read within {KAFKA_TIMEOUT_S:.0f} s",
                cure="`holdfast topics check`, `holdfast doctor`",
            ) from exc
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def verdict(self, event_id: str, *, timeout_s: float = VERDICT_TIMEOUT_S) -> Verdict:
        """What became of a request. Raises TimeoutError if nobody has folded it by then."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            if (verdict := self._verdict(event_id)) is not None:
                return verdict
            if self._passed(event_id):
                await self._read_to_end(give_up_at)
                return self._verdict(event_id) or Repeated()
            await self._hear(give_up_at)

    async def ending(self, *, timeout_s: float) -> Event:
        """The event that ended the workflow. Raises TimeoutError if it still runs by then."""
        give_up_at = time.monotonic() + timeout_s
        while self._ending is None:
            await self._hear(give_up_at)
        return self._ending

    def _verdict(self, event_id: str) -> Verdict | None:
        if event_id in self._refused:
            return self._refused[event_id]
        caused = tuple(event for event in self._events if event.meta.cause_id == event_id)
        for event in caused:
            if isinstance(event.body, InputRejected):
                return Refused(code=event.body.code, message=event.body.message)
        return Folded(events=caused) if caused and len(caused) == caused[0].meta.count else None

    def _passed(self, event_id: str) -> bool:
        placed = self._inbox_offsets.get(event_id)
        return placed is not None and self._folded_to >= placed

    async def _stand_at_ends(self) -> None:
        count = await partition_count(self._consumer, self._said[0])
        self._partition = partition_of(self._key, count)
        await seek_to_ends(self._consumer, [TopicPartition(topic, self._partition) for topic in self._takers])

    async def _read_to_end(self, give_up_at: float) -> None:
        # What a decision led to is durable before the fold says that it has passed: it can be read by now.
        ends = await self._consumer.end_offsets([TopicPartition(topic, self._partition) for topic in self._said])
        while any([await self._consumer.position(partition) < end for partition, end in ends.items()]):
            await self._hear(give_up_at)

    async def _hear(self, give_up_at: float) -> None:
        left_ms = int((give_up_at - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise TimeoutError
        for partition, records in (await self._consumer.getmany(timeout_ms=min(POLL_MS, left_ms))).items():
            take = self._takers[partition.topic]
            for record in records:
                try:
                    take(record)
                except DecodeError as exc:
                    place = f"{partition.topic}/{partition.partition}/{record.offset}"
                    raise CommandError(
                        f"the record at {place} cannot be read: {exc}", cure="a newer version may have written it"
                    ) from exc

    def _take_event(self, record: Any) -> None:
        if record.key != self._key:
            return
        event = decode(record.value)
        if event.meta.sequence <= self._sequence:
            return  # the first event of a sequence is the only one
        self._sequence = event.meta.sequence
        self._events.append(event)
        if isinstance(event.body, ENDINGS):
            self._ending = event
        self._on_event(event)

    def _take_result(self, record: Any) -> None:
        if record.key != self._key:
            return
        body = decode(record.value).body
        if isinstance(body, RequestRejected):
            self._refused[body.request_id] = Refused(code=body.code, message=body.message)

    def _take_input(self, record: Any) -> None:
        if record.key != self._key:
            return
        try:
            self._inbox_offsets[decode(record.value).meta.event_id] = record.offset
        except DecodeError:
            return  # a stranger's: what this client sends can be read

    def _take_row(self, record: Any) -> None:
        if record.value is None or peek(record.value).name != PartitionRow.__name__:
            return  # a workflow's row, or the end of one
        row = cast("PartitionRow", decode_row(record.value))
        self._folded_to = max(self._folded_to, row.inbox_offset)
