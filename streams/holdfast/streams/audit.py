"""Checking a running or stopped engine from outside, from its topics alone.

The journal is folded from zero and compared with the rows on the changelog (I6); every recorded intent must have its
task, and every task its intent; every letter that one workflow owes another must stand in the inbox; every open wait
must have its subscription, and no event may end two waits.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas import tasks as t
from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.ids import split_correlation_key
from holdfast.schemas.record import Record
from holdfast.schemas.topics import CHANGELOG, CORRELATOR_CHANGELOG, INBOX, JOURNAL, TASKS_MODEL, TASKS_TOOL, Topic
from holdfast.streams.audit_letters import Letter, Letters, Place
from holdfast.streams.core.correlator.entries import Subscription
from holdfast.streams.core.pending import calls_owed
from holdfast.streams.core.state import CallStatus, WorkflowState
from holdfast.streams.core.subscriptions import subscriptions
from holdfast.streams.correlator.reading import entries_of
from holdfast.streams.reading import all_records
from holdfast.streams.recovery import Tail
from holdfast.streams.rows import PARTITION_ROW_KEY, Row, load_row

Intent = tuple[str, str, int]
"""What an executor is asked for: the effect key, call or lookup, and the number of the attempt or of the search."""


Read = Callable[[Topic], AsyncIterator[Any]]
"""Every record of a topic up to its end, in order within each partition."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the topics of an engine say about each other.

    `rows` are the workflows as the changelog has them, by key; `rows_differ` the keys of those that are not what the
    journal folds to; `journal_events` counts each (workflow, sequence) once, `repeats` the events beyond that;
    `tasks_missing` and `tasks_unexpected` are intents without a task and the reverse;
    `letters_missing` are owed and were not sent, `letters_unexpected` (receiver, id) were sent and never owed, and
    `starts_unanswered` led to no workflow and to no refusal;
    `events_doubled` are (type, value, id) of published events that ended more than one wait; `subscriptions_missing`
    and `subscriptions_unexpected` are (subscription, type, value) of open waits that the correlator does not know of,
    and the reverse.
    """

    rows: dict[str, Row] = field(repr=False)
    journal_events: int
    repeats: int
    rows_differ: tuple[str, ...]
    decisions_cut_short: int
    tasks_missing: tuple[Intent, ...]
    tasks_unexpected: tuple[Intent, ...]
    letters_missing: tuple[Letter, ...] = ()
    letters_unexpected: tuple[Place, ...] = ()
    starts_unanswered: tuple[Letter, ...] = ()
    events_doubled: tuple[tuple[str, str, str], ...] = ()
    subscriptions_missing: tuple[tuple[str, str, str], ...] = ()
    subscriptions_unexpected: tuple[tuple[str, str, str], ...] = ()

    @property
    def whole(self) -> bool:
        """True if nothing is missing, doubled or different, but for what the correlator is being told now."""
        return not any(
            (
                self.rows_differ,
                self.decisions_cut_short,
                self.tasks_missing,
                self.tasks_unexpected,
                self.letters_missing,
                self.letters_unexpected,
                self.starts_unanswered,
                self.events_doubled,
            )
        )

    @property
    def correlated(self) -> bool:
        """True if the correlator knows of every wait that is open, and of no other. It hears of them a moment later."""
        return not self.subscriptions_missing and not self.subscriptions_unexpected


async def compare(bootstrap: str, topic_prefix: str) -> Comparison:
    """Read journal, changelog, tasks and inbox of an engine at rest to their ends, and compare them. Writes nothing.

    Raises Kafka errors, and DecodeError if a journal event or a row cannot be read.
    """
    return await compare_topics(lambda topic: all_records(bootstrap, topic_prefix + topic.name))


async def compare_topics(read: Read) -> Comparison:
    """The same, of topics that `read` gives. Raises what it raises, and DecodeError."""
    tail, intents, letters, events, seen = Tail(), _Intents(), Letters(), 0, 0
    taken = Counter[tuple[str, str, str]]()
    async for record in read(JOURNAL):
        message = decode(record.value)
        before = _folded(tail, record.key)
        tail.take(None, record.key, message, record.offset)
        seen += 1
        if _folded(tail, record.key) != before:
            events += 1
            intents.take(message.body)
            if record.key not in tail.cut_short:
                state = tail.rows[record.key].state
                intents.take_state(state)
                letters.take_state(state)
            if isinstance(message.body, e.EventReceived) and message.body.audience == "first":
                taken[message.body.event_type, message.body.correlation, message.body.source_id] += 1
    rows: dict[str, Row] = {}
    async for record in read(CHANGELOG):
        if record.key != PARTITION_ROW_KEY and record.value is not None:
            key, row = record.key.decode(), load_row(record.value)
            # As recovery takes them: a zombie's stale row never replaces one that was folded further.
            if key not in rows or row.inbox_offset >= rows[key].inbox_offset:
                rows[key] = row
    tasks: set[Intent] = set()
    for topic in (TASKS_MODEL, TASKS_TOOL):
        async for record in read(topic):
            tasks.add(_task_identity(decode(record.value).body))
    async for record in read(INBOX):
        with suppress(DecodeError):  # those are dead letters
            letters.take_input(decode(record.value))
    known = {
        (key.name, *split_correlation_key(key.at.decode())[1:])
        for key, entry in (await entries_of(read(CORRELATOR_CHANGELOG))).items()
        if isinstance(entry, Subscription)
    }
    wanted = {place for row in rows.values() for place in subscriptions(row.state)}
    refolded = {key.decode(): row for key, row in tail.rows.items()}
    return Comparison(
        rows=rows,
        journal_events=events,
        repeats=seen - events,
        rows_differ=tuple(
            sorted(key for key in refolded.keys() | rows.keys() if not _same(refolded.get(key), rows.get(key)))
        ),
        decisions_cut_short=len(tail.cut_short),
        tasks_missing=tuple(sorted(intents.wanted - tasks)),
        tasks_unexpected=tuple(sorted(tasks - intents.ever)),
        letters_missing=letters.missing,
        letters_unexpected=letters.unexpected,
        starts_unanswered=letters.unanswered,
        events_doubled=tuple(sorted(event for event, count in taken.items() if count > 1)),
        subscriptions_missing=tuple(sorted(wanted - known)),
        subscriptions_unexpected=tuple(sorted(known - wanted)),
    )


@dataclass(kw_only=True)
class _Intents:
    """What was asked for, and what was still wanted at the end of a decision: of that somebody must have been told."""

    ever: set[Intent] = field(default_factory=set)
    wanted: set[Intent] = field(default_factory=set)

    def take(self, event: Record) -> None:
        """Note what a journal event asks for."""
        if isinstance(event, e.ModelCallRequested | e.ToolCallRequested):
            self.ever.add((event.effect_key, "call", event.attempt))
        elif isinstance(event, e.ToolLookupRequested):
            self.ever.add((event.effect_key, "lookup", event.lookup))

    def take_state(self, state: WorkflowState) -> None:
        """Note what a decision leaves behind. What it gave up again at once was never sent."""
        for effect_key, number, status in calls_owed(state):
            if status is not CallStatus.CLAIMED:
                self.wanted.add((effect_key, "lookup" if status is CallStatus.SEARCHED else "call", number))


def _folded(tail: Tail, key: bytes) -> int:
    row = tail.rows.get(key)
    return (row.sequence if row is not None else 0) + len(tail.cut_short.get(key, ()))


def _same(one: Row | None, other: Row | None) -> bool:
    if one is None or other is None:
        return False
    if (one.sequence, one.head_hash) != (other.sequence, other.head_hash):
        return False
    return one.text == other.text


def _task_identity(body: Record) -> Intent:
    if isinstance(body, t.LookUpEffect):
        return body.effect_key, "lookup", body.lookup
    assert isinstance(body, t.RunModelCall | t.RunToolCall)
    return body.effect_key, "call", body.attempt
