"""One workflow as folded from its journal. Everything here is a cache of the events; nothing else is remembered.

States are values: `evolve.py` makes new ones (`schemas.record.changed`, hence no slots) and never changes one in
place, dictionaries and lists included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.schemas.record import Json


class Status(StrEnum):
    """State of a workflow; the allowed transitions stand in `transitions.py`."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPENSATING = "compensating"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class CallKind(StrEnum):
    """What a call asks for."""

    MODEL = "model"
    TOOL = "tool"


class CallStatus(StrEnum):
    """Where one call stands. `requested` and `claimed` attempts are with executors, `retrying` waits for its time.

    Nobody knows the outcome of an `unknown` call: a person has to find out; traces of a `searched` one are looked for.
    """

    REQUESTED = "requested"
    CLAIMED = "claimed"
    RETRYING = "retrying"
    UNKNOWN = "unknown"
    SEARCHED = "searched"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One model or tool call: one effect key, any number of attempts, at most one outcome.

    `answer` is what the model sees of a finished tool call of an agent step: the result, or the error. `error_class`
    and `error_message` are those of the last attempt that failed, `since_ms` the time of the first attempt's intent,
    `limit_at_ms` when the present attempt is given up; `unsure` says that an attempt may have taken effect although it
    failed; `lookup` is which search for traces is under way; `key_until_ms` is when a keyed call is not to be attempted
    any more, 0 for never.
    """

    kind: CallKind
    effect_key: str
    turn: int
    index: int
    attempt: int
    status: CallStatus
    deadline_at_ms: int
    tool: str = ""
    effect: str = ""
    arguments: Json = None
    action_hash: str = ""
    call_id: str = ""
    executor_id: str = ""
    lease_until_ms: int = 0
    limit_at_ms: int = 0
    retry_at_ms: int = 0
    answer: Json = None
    error_class: str = ""
    error_message: str = ""
    since_ms: int = 0
    unsure: bool = False
    lookup: int = 0
    lookup_at_ms: int = 0
    key_until_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Approval:
    """One request to a person, about one exact call."""

    approval_id: str
    step: str
    tool: str
    action_hash: str
    expires_at_ms: int
    approved: bool = False
    consumed_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """An event that ends a wait: its type, and the value it must carry, empty for any."""

    event_type: str
    correlation: str


@dataclass(frozen=True, kw_only=True)
class Wait:
    """One wait for an event from outside; it is open until `matched` is the event that ended it.

    `alternatives` are the further events of which the first one ends it.
    """

    wait_id: str
    event_type: str
    correlation: str
    expires_at_ms: int
    alternatives: tuple[Expected, ...] = ()
    matched: "ReceivedEvent | None" = None

    @property
    def expected(self) -> tuple[Expected, ...]:
        """Every event that ends it."""
        return (Expected(event_type=self.event_type, correlation=self.correlation), *self.alternatives)


@dataclass(frozen=True, kw_only=True)
class ReceivedEvent:
    """An event from outside; `expires_at_ms` is when one that came early is given up, 0 for never."""

    event_type: str
    correlation: str
    source_id: str
    payload: Json
    expires_at_ms: int = 0


class Undo(StrEnum):
    """Where one compensation stands. `registered` ones may turn out to have nothing to undo."""

    REGISTERED = "registered"
    BOUND = "bound"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Compensation:
    """How to undo what a visit of a step did. `effect_key` is that of the call which did it.

    With a `read_tool`, undoing puts the `prior` value back, and only as long as that tool, called with
    `read_arguments`, reads what was `written`.
    """

    step: str
    visit: int
    effect_key: str
    tool: str
    status: Undo = Undo.REGISTERED
    effect: str = ""
    arguments: Json = None
    action_hash: str = ""
    attempts: int = 0
    read_tool: str = ""
    read_arguments: Json = None
    prior: Json = None
    written: Json = None


@dataclass(frozen=True, kw_only=True)
class Closing:
    """How a workflow is going to end, once what is under way has settled and what was done is undone."""

    outcome: str
    step: str
    error_class: str
    error_message: str
    settle_until_ms: int


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One branch of a parallel step; `outcome` is empty while it runs."""

    outcome: str = ""
    output: Json = None
    error_class: str = ""
    error_message: str = ""


@dataclass(frozen=True, kw_only=True)
class ItemFailure:
    """How one item failed."""

    index: int
    error_class: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a map step over content knows of it: a window, however many items there are.

    `source` is the reference that items are read from, `read` how many were. `ended` has what ended items left and is
    not kept yet (`{"index", "output"}`, or `"error"`), `ended_bytes` their size; `kept` is how many are, or are on
    their way; `parts` is the reference of all that is kept, null before the first. `failed` counts failures, of which
    `first_failure` has the lowest index; `calls` counts the calls that were asked for.
    """

    source: Json
    read: int = 0
    ended: tuple[Json, ...] = ()
    ended_bytes: int = 0
    kept: int = 0
    parts: Json = None
    failed: int = 0
    first_failure: ItemFailure | None = None
    calls: int = 0


@dataclass(frozen=True, kw_only=True)
class Items:
    """Where a map step stands.

    `waiting` has the items that were not started yet, the next one first; `results` and `failures` what ended items
    left, by their index as text; `failures` are `{"class", "message"}`. A step over `content` has in `waiting` only
    what was read ahead, and what ended items left in `content`.
    """

    total: int
    shared: Json
    waiting: tuple[Json, ...]
    results: Mapping[str, Json] = field(default_factory=dict)
    failures: Mapping[str, Json] = field(default_factory=dict)
    content: Content | None = None

    @property
    def started(self) -> int:
        """How many items have been started: the index of the next one."""
        return (self.total if self.content is None else self.content.read) - len(self.waiting)

    @property
    def ended(self) -> int:
        """How many items have ended, one way or another."""
        if self.content is not None:
            return len(self.content.ended) + self.content.kept
        return len(self.results) + len(self.failures)

    @property
    def failed(self) -> int:
        """How many items have failed."""
        return len(self.failures) if self.content is None else self.content.failed


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Where a schedule step stands: the nominal time of the last firing acted on, and of one that is held back."""

    last_ms: int
    buffered_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The workflow, the visit of its step and the item of that step that this workflow was started for."""

    workflow_id: str
    step: str
    visit: int
    index: int


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The event of another workflow up to which this one took over that one's history, and its hash (hex)."""

    workflow_id: str
    sequence: int
    event_hash: str


@dataclass(frozen=True, kw_only=True)
class Child:
    """A workflow that this one started and that has not ended.

    `awaited` says that a step waits for it; `cancelling` that nobody does any more, and that it is told so.
    """

    child_id: str
    definition_hash: str
    step: str
    visit: int
    index: int
    start_step: str
    input: Json
    awaited: bool
    on_parent_end: str
    deadline_limit_at_ms: int
    cancelling: bool = False
    budget: Mapping[str, int] = field(default_factory=dict)

    def is_of(self, run: "StepRun") -> bool:
        """True if that visit of a step started it."""
        return self.step == run.step and self.visit == run.visit


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """One visit of one step that has not ended.

    `scope` names the branch that it belongs to (see `scopes.py`), empty at the top; `branches` and `items` are those
    of a parallel and of a map step, `child_result` is how the workflow ended that a child step waited for.
    """

    step: str
    kind: str
    visit: int
    timeout_at_ms: int
    scope: str = ""
    turn: int = 0
    repairs: int = 0
    model: str = ""
    parameters: Json = None
    messages: tuple[Json, ...] = ()
    calls: Mapping[str, Call] = field(default_factory=dict)
    approval_id: str = ""
    wait: Wait | None = None
    timer_id: str = ""
    wake_at_ms: int = 0
    branches: Mapping[str, Branch] = field(default_factory=dict)
    items: Items | None = None
    child_result: Json = None
    schedule: Schedule | None = None


@dataclass(frozen=True, kw_only=True)
class WorkflowState:
    """One workflow.

    `active` has the step runs that have not ended, by step name; `outputs` the last output of each step that ended;
    `early_events` the events that nobody waited for yet, oldest first; `seen` has short ids of the last inputs folded
    that the engine's own parts sent, `asked` of the last ones from outside: a thousand reports do not push those out.
    `origin` is where this one was forked from; `parent` is the workflow that started this one, `depth` how many stand
    above it; `children` has the workflows that this one started and that have not ended, by id. `compensations` has
    what can be undone, oldest first, by `step.visit`; `budget` has the limits of what it may spend, `spent` what it
    has, if there are any (see `budget.py`); `closing` is set once the workflow is on its way to an end that is not its
    goal. `updated_at_ms` is the time of the last event, `active_at_ms` of the last one that did not come from a timer.
    """

    tenant: str
    workflow_id: str
    definition_name: str
    definition_hash: str
    status: Status
    started_by: str
    correlation_id: str
    traceparent: str
    started_at_ms: int
    deadline_at_ms: int
    input: Json
    variables: Mapping[str, Json] = field(default_factory=dict)
    outputs: Mapping[str, Json] = field(default_factory=dict)
    visits: Mapping[str, int] = field(default_factory=dict)
    active: Mapping[str, StepRun] = field(default_factory=dict)
    approvals: Mapping[str, Approval] = field(default_factory=dict)
    origin: Origin | None = None
    parent: Parent | None = None
    depth: int = 0
    start_step: str = ""
    children: Mapping[str, Child] = field(default_factory=dict)
    compensations: Mapping[str, Compensation] = field(default_factory=dict)
    closing: Closing | None = None
    updated_at_ms: int = 0
    active_at_ms: int = 0
    idle_timeout_ms: int = 0
    paused_at_ms: int = 0
    budget: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, int] = field(default_factory=dict)
    early_events: tuple[ReceivedEvent, ...] = ()
    seen: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    output: Json = None
    error_class: str = ""
    error_message: str = ""

    @property
    def finished(self) -> bool:
        """True once the workflow has ended, however it did."""
        return self.status in TERMINAL

    @property
    def held(self) -> bool:
        """True while nothing goes on until a person acts."""
        return self.status in HELD


HELD = frozenset({Status.PAUSED, Status.BLOCKED})
TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
