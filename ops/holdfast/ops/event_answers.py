"""What becomes of a published event: handed to a workflow, told to everybody, kept, refused, or a repeat.

The correlator's rows are the truth about that. Its input is followed for the place of the event, and its progress (the
partition rows) for the moment when the rows have it.
"""

import time
from dataclasses import dataclass
from typing import Any, TypeAlias

from holdfast.ops.answers import VERDICT_TIMEOUT_S, Refused
from holdfast.ops.follower import Follower
from holdfast.schemas.codec import DecodeError, decode, decode_row
from holdfast.schemas.ids import correlation_key, subscriber
from holdfast.schemas.results import RequestRejected
from holdfast.schemas.state import EventRow, PartitionRow
from holdfast.schemas.topics import CORRELATIONS, CORRELATOR_CHANGELOG, RESULTS


@dataclass(frozen=True, kw_only=True)
class Handed:
    """It goes to the workflow that has waited longest; if that gives up at this moment, to the next one."""

    workflow_id: str


@dataclass(frozen=True, kw_only=True)
class Told:
    """So many waits are told of it."""

    waits: int


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Nobody waits for it yet."""

    until_ms: int


@dataclass(frozen=True, kw_only=True)
class Known:
    """It was published before under the same event id, so many times by now, and nothing changed."""

    repeats: int


EventVerdict: TypeAlias = Handed | Told | Kept | Known | Refused


class EventAnswers(Follower):
    """Follows the events of one type and value."""

    def __init__(self, bootstrap: str, topic_prefix: str, tenant: str, event_type: str, correlation: str) -> None:
        takers = {
            topic_prefix + CORRELATOR_CHANGELOG.name: self._take_row,
            topic_prefix + CORRELATIONS.name: self._take_input,
            topic_prefix + RESULTS.name: self._take_result,
        }
        super().__init__(bootstrap, correlation_key(tenant, event_type, correlation).encode(), takers)
        self._refused: dict[str, Refused] = {}
        self._offsets: dict[str, int] = {}
        self._rows: dict[bytes, list[EventRow]] = {}
        self._folded_to = -1

    async def verdict(self, event_id: str, *, timeout_s: float = VERDICT_TIMEOUT_S) -> EventVerdict:
        """What became of a published event. Raises TimeoutError if nobody has folded it by then."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            if event_id in self._refused:
                return self._refused[event_id]
            offset = self._offsets.get(event_id)
            if offset is not None and self._folded_to >= offset:
                # The rows of a batch stand before the word that it is folded.
                row = next(
                    (row for row in self._rows.get(self._row_key(event_id), []) if row.input_offset >= offset), None
                )
                if row is not None:
                    return _said(row, offset)
            await self._hear(give_up_at)

    def _row_key(self, event_id: str) -> bytes:
        from holdfast.streams.correlator.rows import EVENT, RowKey

        return RowKey(EVENT, event_id, self._key).encoded()

    def _take_row(self, record: Any) -> None:
        row = decode_row(record.value) if record.value is not None else None
        if isinstance(row, PartitionRow):
            self._folded_to = max(self._folded_to, row.inbox_offset)
        elif isinstance(row, EventRow):
            self._rows.setdefault(record.key, []).append(row)

    def _take_input(self, record: Any) -> None:
        if record.key != self._key:
            return
        try:
            self._offsets.setdefault(decode(record.value).meta.event_id, record.offset)
        except DecodeError:
            return  # a stranger's: what this client sends can be read

    def _take_result(self, record: Any) -> None:
        body = decode(record.value).body
        if isinstance(body, RequestRejected):
            self._refused[body.request_id] = Refused(code=body.code, message=body.message)


def _said(row: EventRow, offset: int) -> EventVerdict:
    if row.place < offset:
        return Known(repeats=row.repeats)
    if row.status == "handed":
        return Handed(workflow_id=subscriber(row.handed_to))
    return Kept(until_ms=row.expires_at_ms) if row.status == "kept" else Told(waits=row.told)
