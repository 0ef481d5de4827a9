"""What must hold after every step, checked as records are appended and effects happen.

A journal event is folded once more, from zero, in a shadow of its workflow; every predicate looks at that shadow, the
event and what came before. The names I1 to I15 are those of the design and of ARCHITECTURE.md.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.ops.simulate.broker import Record
from holdfast.ops.simulate.target import Effect
from holdfast.projections.rows import PROMOTED
from holdfast.schemas import chain, topics
from holdfast.schemas import correlations as c
from holdfast.schemas import events as e
from holdfast.schemas.codec import decode, decode_row, payload_of
from holdfast.schemas.record import Message
from holdfast.schemas.record import Record as Body
from holdfast.schemas.state import WorkflowRow
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.pending import calls_owed, timers
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.core.transitions import TRANSITIONS
from holdfast.streams.rows import PARTITION_ROW_KEY, state_json

ENDINGS = (e.WorkflowCompleted, e.WorkflowFailed, e.WorkflowCancelled)
REPEATABLE = frozenset({"read", "txn", "keyed"})
BUGS = frozenset({"internal_error", "decision_diverged"})


class Broken(Exception):
    """An invariant does not hold: which one, and what was seen."""

    def __init__(self, invariant: str, sentence: str) -> None:
        super().__init__(f"{invariant}: {sentence}")
        self.invariant = invariant
        self.sentence = sentence


@dataclass(kw_only=True)
class Effects:
    """One effect key as the journal has it so far."""

    attempts: set[int] = field(default_factory=set)
    accepted: int = 0
    unsure: bool = False
    retry_at_ms: int = 0


@dataclass(kw_only=True)
class Shadow:
    """One workflow, folded from zero as its events come."""

    key: bytes
    state: WorkflowState | None = None
    sequence: int = 0
    head: bytes = chain.GENESIS
    values: list[bytes] = field(default_factory=list)
    messages: list[Message[Body]] = field(default_factory=list)
    whole: bool = True
    said: str = ""
    ended: bool = False
    effects: dict[str, Effects] = field(default_factory=dict)
    approved: dict[str, str] = field(default_factory=dict)
    children: Counter[str] = field(default_factory=Counter)
    allowed_beyond: int = 0

    @property
    def live(self) -> WorkflowState:
        """Its state; it has one from its first event on."""
        assert self.state is not None
        return self.state


class Checker:
    """Takes every record as it is appended and every effect as it happens. Raises Broken.

    `heard` is called after each whole decision with its events; `checks` counts the predicates that were looked at.
    """

    def __init__(self, heard: Callable[[Shadow, list[Message[Body]]], None]) -> None:
        self.checks = 0
        self.steps = 0
        self.shadows: dict[bytes, Shadow] = {}
        self.taken: Counter[tuple[str, str, str]] = Counter()
        self.acted: Counter[tuple[str, int]] = Counter()
        self.late_words: set[tuple[str, str, str]] = set()
        self._closed: set[tuple[str, str, str]] = set()
        self._heard = heard
        self._readers: Mapping[str, Callable[[Record], None]] = {
            topics.JOURNAL.name: self._journal,
            topics.CHANGELOG.name: self._row,
            topics.DEAD_LETTERS.name: self._dead_letter,
            topics.CORRELATIONS.name: self._told,
        }

    def appended(self, record: Record) -> None:
        """Look at a record that the broker has just taken. What executors say of their queues is no step."""
        self.steps += record.topic != topics.QUEUES.name
        reader = self._readers.get(record.topic)
        if reader is not None:
            reader(record)

    def happened(self, effect: Effect) -> None:
        """Look at an effect in the outside world."""
        self.steps += 1
        attempt = effect.effect_key, effect.attempt
        self.acted[attempt] += 1
        if effect.effect not in REPEATABLE:
            self._holds("I1", self.acted[attempt] == 1, f"{effect.tool} was made twice for {attempt}")

    def _holds(self, invariant: str, holds: bool, sentence: str) -> None:
        self.checks += 1
        if not holds:
            raise Broken(invariant, sentence)

    def _dead_letter(self, record: Record) -> None:
        raise Broken("I7", f"a record of the engine's own became a dead letter: {record.headers}")

    def _told(self, record: Record) -> None:
        """Note what the correlator hears too late: that a wait is open which it was told is over (a zombie's word)."""
        body = decode(record.value).body
        if isinstance(body, c.SubscriptionOpened | c.SubscriptionClosed):
            place = body.subscription_id, body.event_type, body.correlation
            if isinstance(body, c.SubscriptionClosed):
                self._closed.add(place)
                self.late_words.discard(place)
            elif place in self._closed:
                self.late_words.add(place)

    def _journal(self, record: Record) -> None:
        assert record.key is not None
        assert record.value is not None
        shadow = self.shadows.setdefault(record.key, Shadow(key=record.key))
        message = decode(record.value)
        meta = message.meta
        at = f"{record.key.decode()} event {meta.sequence} ({meta.type})"
        if meta.sequence <= shadow.sequence:
            same = shadow.values[meta.sequence - 1] == record.value
            self._holds("I7", same, f"{at} was appended twice, and the second is not the first")
            return
        self._holds("I7", meta.sequence == shadow.sequence + 1, f"{at} follows event {shadow.sequence}")
        self._holds("I7", meta.previous_hash == shadow.head, f"{at} does not go on from the hash before it")
        hashed = chain.event_hash(meta.previous_hash, meta, payload_of(message.body))
        self._holds("I7", meta.hash == hashed, f"{at} has a hash that is not its own")
        shadow.values.append(record.value)
        before = shadow.state
        try:
            shadow.state = evolve(before, message.body, Cause.of(meta))
        except Exception as exc:
            raise Broken("I3", f"{at} cannot be folded: {exc!r}") from exc
        shadow.sequence, shadow.head = meta.sequence, meta.hash
        shadow.messages.append(message)
        self._event(shadow, message, before, at)
        shadow.whole = meta.index == meta.count - 1
        if shadow.whole:
            self._decision(shadow, at)
            self._heard(shadow, shadow.messages[-meta.count :])

    def _event(self, shadow: Shadow, message: Message[Body], before: WorkflowState | None, at: str) -> None:
        body, state = message.body, shadow.live
        if before is not None and state.status is not before.status:
            allowed = state.status in TRANSITIONS[before.status]
            self._holds("I3", allowed, f"{at} leads from {before.status} to {state.status}")
        predicate = _PREDICATES.get(type(body))
        if predicate is not None:
            predicate(self, shadow, message, before, at)
        shadow.said = status_said(body) or shadow.said
        shadow.ended = shadow.ended or isinstance(body, ENDINGS)

    def _decision(self, shadow: Shadow, at: str) -> None:
        state = shadow.live
        said_is = shadow.said == state.status
        self._holds("I3", said_is, f"{at}: events say {shadow.said or 'nothing'}, the state is {state.status}")
        due = [timer.due_at_ms for timer in timers(state)]
        if state.finished:
            self._holds("I12", not due and not calls_owed(state), f"{at}: it has ended and is owed something")
        elif state.closing is None and state.deadline_at_ms:
            self._holds("I12", min(due) <= state.deadline_at_ms, f"{at}: it does not wait for its deadline")
        elif not state.held:
            self._holds("I12", bool(due or calls_owed(state)), f"{at}: it is {state.status} and waits for nothing")

    def _row(self, record: Record) -> None:
        if record.key == PARTITION_ROW_KEY or record.value is None:
            return
        row = decode_row(record.value)
        assert isinstance(row, WorkflowRow)
        assert record.key is not None
        shadow = self.shadows.get(record.key)
        at = f"the row of {record.key.decode()} at {row.sequence}"
        if shadow is None:
            raise Broken("I6", f"{at} has no journal")
        self._holds("I6", row.sequence <= shadow.sequence, f"{at} is ahead of the journal's {shadow.sequence}")
        if row.sequence == shadow.sequence and shadow.whole:
            self._holds("I6", row.head_hash == shadow.head, f"{at} has another hash than the journal")
            self._holds("I6", row.state == state_json(shadow.live), f"{at} is not what the journal folds to")

    # --- predicates of single events, by type ---

    def _intent(self, shadow: Shadow, message: Message[Any], before: WorkflowState | None, at: str) -> None:
        body = message.body
        effects = shadow.effects.setdefault(body.effect_key, Effects())
        self._holds("I1", body.attempt not in effects.attempts, f"{at}: attempt {body.attempt} was asked for before")
        self._holds("I1", not effects.accepted, f"{at}: {body.effect_key} has an outcome already")
        self._holds("I11", not shadow.ended, f"{at}: it has ended")
        effects.attempts.add(body.attempt)
        now_ms = message.meta.recorded_at_ms
        self._holds("I5", now_ms >= effects.retry_at_ms, f"{at}: {effects.retry_at_ms - now_ms} ms too early")
        assert before is not None
        undoing = before.active[body.step].kind == UNDO
        self._holds("I11", before.closing is None or undoing, f"{at}: it is on its way to its end")
        self._budget(shadow, at)
        if isinstance(body, e.ToolCallRequested):
            sure = body.effect in REPEATABLE or not effects.unsure
            self._holds("I1", sure, f"{at}: nobody knows what the last attempt of this {body.effect} call did")
            self._approval(shadow, body, at)

    def _budget(self, shadow: Shadow, at: str) -> None:
        """Calls count as they are asked for, so their number never goes over a limit."""
        state = shadow.live
        for limit in ("model_calls", "tool_calls"):
            if limit in state.budget:
                spent, most = state.spent.get(limit, 0), state.budget[limit] + shadow.allowed_beyond
                self._holds("I9", spent <= most, f"{at}: {spent} of {most} {limit} are spent")

    def _approval(self, shadow: Shadow, body: e.ToolCallRequested, at: str) -> None:
        if body.approval_id:
            allowed = shadow.approved.pop(body.approval_id, None)
            self._holds("I2", allowed is not None, f"{at}: nobody approved it, or it was used before")
            self._holds("I2", allowed == body.action_hash, f"{at}: another call was approved")

    def _approved(self, shadow: Shadow, message: Message[Any], _before: WorkflowState | None, _at: str) -> None:
        if message.body.decision == "approve":
            shadow.approved[message.body.approval_id] = message.body.action_hash

    def _outcome(self, shadow: Shadow, message: Message[Any], _before: WorkflowState | None, at: str) -> None:
        body = message.body
        effects = shadow.effects.get(body.effect_key, Effects())
        self._holds("I8", body.attempt in effects.attempts, f"{at}: attempt {body.attempt} was never asked for")
        self._holds("I1", body.attempt == max(effects.attempts), f"{at}: attempt {body.attempt} is not the last")
        effects.accepted += 1
        self._holds("I1", effects.accepted == 1, f"{at}: {body.effect_key} has two outcomes")

    def _resolved(self, shadow: Shadow, message: Message[Any], before: WorkflowState | None, at: str) -> None:
        if message.body.outcome == "done":
            self._outcome(shadow, message, before, at)
        elif message.body.outcome == "retry":
            shadow.allowed_beyond += 1  # a person has it made again, on record, whatever it costs
        shadow.effects[message.body.effect_key].unsure = False

    def _looked_up(self, shadow: Shadow, message: Message[Any], before: WorkflowState | None, at: str) -> None:
        if message.body.found:
            self._outcome(shadow, message, before, at)
        else:
            shadow.effects[message.body.effect_key].unsure = message.body.lookup < 2

    def _call_failed(self, shadow: Shadow, message: Message[Any], _before: WorkflowState | None, _at: str) -> None:
        effects = shadow.effects[message.body.effect_key]
        effects.retry_at_ms = message.body.retry_at_ms
        effects.unsure = effects.unsure or getattr(message.body, "outcome_unknown", False)

    def _retried(self, shadow: Shadow, message: Message[Any], _before: WorkflowState | None, _at: str) -> None:
        """Who has an undoing tried again, in doubt or before its time, has decided that: a person, on record."""
        state = shadow.live
        undo = f"{state.tenant}/{state.workflow_id}/{message.body.step}~undo."
        for key, effects in shadow.effects.items():
            if key.startswith(undo):
                effects.unsure, effects.retry_at_ms = False, 0

    def _unknown(self, shadow: Shadow, message: Message[Any], _before: WorkflowState | None, _at: str) -> None:
        shadow.effects[message.body.effect_key].unsure = True

    def _fired(self, _shadow: Shadow, message: Message[Any], _before: WorkflowState | None, at: str) -> None:
        early_ms = message.body.due_at_ms - message.meta.recorded_at_ms
        self._holds("I5", early_ms <= 0, f"{at}: {message.body.timer_id} fired {early_ms} ms early")

    def _received(self, shadow: Shadow, message: Message[Any], _before: WorkflowState | None, at: str) -> None:
        body = message.body
        if body.audience == "first" and body.wait_id and not message.meta.actor_id.startswith("direct"):
            self.taken[body.event_type, body.correlation, body.source_id] += 1
            count = self.taken[body.event_type, body.correlation, body.source_id]
            self._holds("I13", count == 1, f"{at}: the event {body.source_id} has ended another wait before")

    def _child_ended(self, shadow: Shadow, message: Message[Any], _before: WorkflowState | None, at: str) -> None:
        shadow.children[message.body.child_id] += 1
        once = shadow.children[message.body.child_id] == 1
        self._holds("I14", once, f"{at}: the end of {message.body.child_id} arrived twice")

    def _bug(self, _shadow: Shadow, message: Message[Any], _before: WorkflowState | None, at: str) -> None:
        fine = message.body.code not in BUGS
        self._holds("I3", fine, f"{at}: {message.body.code}: {message.body.message}")


_Predicate = Callable[[Checker, Shadow, Message[Any], WorkflowState | None, str], None]
_PREDICATES: Mapping[type[Body], _Predicate] = {
    e.ModelCallRequested: Checker._intent,
    e.ToolCallRequested: Checker._intent,
    e.ModelCallCompleted: Checker._outcome,
    e.ToolCallCompleted: Checker._outcome,
    e.ToolOutcomeResolved: Checker._resolved,
    e.ToolLookupCompleted: Checker._looked_up,
    e.ModelCallFailed: Checker._call_failed,
    e.ToolCallFailed: Checker._call_failed,
    e.ToolOutcomeUnknown: Checker._unknown,
    e.StepRetried: Checker._retried,
    e.ApprovalDecided: Checker._approved,
    e.TimerFired: Checker._fired,
    e.EventReceived: Checker._received,
    e.ChildEnded: Checker._child_ended,
    e.WorkflowBlocked: Checker._bug,
    e.InputRejected: Checker._bug,
}


def status_said(body: Body) -> str:
    """The status that the tables take from an event; empty if it says nothing about that."""
    mapped = PROMOTED[type(body)]
    named = next((name for name, column in mapped.columns.items() if column == "status"), "")
    return str(getattr(body, named)) if named else mapped.constants.get("status", "")
