"""What the engine makes of a request: folded, refused, or a repeat of one that was folded before.

The journal and the results are the truth about that. That a repeat changes nothing leaves no event, so the inbox (where
ingress put the request) and the fold's own progress (the partition rows) are followed too.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from aiokafka import TopicPartition

from holdfast.ops.follower import Follower
from holdfast.schemas.codec import DecodeError, decode, decode_row, peek
from holdfast.schemas.events import InputRejected
from holdfast.schemas.ids import workflow_key
from holdfast.schemas.record import Message, Record
from holdfast.schemas.results import RequestRejected
from holdfast.schemas.state import PartitionRow
from holdfast.schemas.topics import CHANGELOG, ENDINGS, INBOX, JOURNAL, RESULTS

VERDICT_TIMEOUT_S = 10.0
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


class Answers(Follower):
    """Follows one workflow. `on_event` is called with each journal event of it, once, in order."""

    def __init__(
        self,
        bootstrap: str,
        topic_prefix: str,
        tenant: str,
        workflow_id: str,
        *,
        on_event: Callable[[Event], None] = _ignore,
    ) -> None:
        takers = {
            topic_prefix + JOURNAL.name: self._take_event,
            topic_prefix + RESULTS.name: self._take_result,
            topic_prefix + INBOX.name: self._take_input,
            topic_prefix + CHANGELOG.name: self._take_row,
        }
        super().__init__(bootstrap, workflow_key(tenant, workflow_id).encode(), takers)
        self._said = (topic_prefix + JOURNAL.name, topic_prefix + RESULTS.name)
        self._on_event = on_event
        self._events: deque[Event] = deque(maxlen=EVENTS_LIMIT)
        self._sequence = 0
        self._refused: dict[str, Refused] = {}
        self._inbox_offsets: dict[str, int] = {}
        self._folded_to = -1
        self._ending: Event | None = None

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

    async def _read_to_end(self, give_up_at: float) -> None:
        # What a decision led to is durable before the fold says that it has passed: it can be read by now.
        ends = await self._consumer.end_offsets([TopicPartition(topic, self._partition) for topic in self._said])
        while any([await self._consumer.position(partition) < end for partition, end in ends.items()]):
            await self._hear(give_up_at)

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
