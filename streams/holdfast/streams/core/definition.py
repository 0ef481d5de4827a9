"""A workflow definition: a flat graph of named steps, as data.

Written in YAML or built from these models. `compile.py` finds its mistakes; its identity is the SHA-256 of its
canonical form (`Definition.hash`). Strings of the form `${...}` inside templates are CEL expressions; `when` and
`check` are bare CEL expressions.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from holdfast.schemas import ids, jsontext
from holdfast.schemas.record import Json
from holdfast.streams.core.calendar import CalendarWindow
from holdfast.streams.core.durations import DurationMs
from holdfast.streams.core.model import Model
from holdfast.streams.core.queues.ticket import PRIORITY, PRIORITY_MAX
from holdfast.streams.core.schedule import Timing

NAME_PATTERN = r"[a-z][a-z0-9_]{0,62}"
DEFINITION_NAME_PATTERN = r"[a-z0-9][a-z0-9-]{0,62}"
ANY_ERROR = "*"

StepName = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
OnLimit = Literal["fail", "compensate", "escalate"]
EventType = Annotated[str, Field(pattern=f"^{ids.EVENT_TYPE_PATTERN}$")]
Effect = Literal["read", "txn", "keyed", "lookup", "once"]
Priority = Annotated[int, Field(ge=0, le=PRIORITY_MAX)]
CallClass = Annotated[str, Field(pattern=r"^(model|tool)(:[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127})?$")]
RateText = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,8}/(s|min|h))?$")]


class Budget(Model):
    """What a workflow may spend. A call that would go over it is not made: its step fails with `budget_exhausted`.

    What undoes effects is not held to it. What a child or an item may spend is set aside until it ends.
    """

    model_calls: int = Field(default=0, ge=0)
    """How many model calls, attempts included; 0 sets no limit."""
    tool_calls: int = Field(default=0, ge=0)
    """How many tool calls, attempts included; 0 sets no limit."""
    tokens: int = Field(default=0, ge=0)
    """How many tokens of prompts and answers together; 0 sets no limit."""
    cost_microusd: int = Field(default=0, ge=0)
    """How much money, in millionths of a US dollar; 0 sets no limit."""

    def limits(self) -> dict[str, int]:
        """The limits that are set, by name."""
        return {limit: amount for limit, amount in self.model_dump().items() if amount}


class Pace(Model):
    """How often a call is attempted, and how long is waited in between.

    Attempt n+1 waits `initial * factor**(n-1)`, at most `maximum`.
    """

    max_attempts: int = Field(default=3, ge=1, le=100)
    """How often the call is attempted at most."""
    initial_ms: DurationMs = Field(default=1_000, alias="initial")
    """How long is waited before the second attempt."""
    factor: float = Field(default=2.0, ge=1.0, le=10.0)
    """By how much each wait is longer than the one before it."""
    maximum_ms: DurationMs = Field(default=60_000, alias="maximum")
    """The longest wait."""


class Retry(Pace):
    """When a call is attempted again.

    Up to `jitter` of each wait is added to it. `errors` are the classes worth another attempt, beside those that the
    executor itself reports as retryable; `per_error` gives a class a pace of its own. `max_elapsed` limits all attempts
    together. When no attempt is left the step fails, or the workflow is blocked until a person acts.
    """

    jitter: float = Field(default=0.2, ge=0.0, le=1.0)
    """Up to which part of a wait is added to it, so that not everybody comes back at once."""
    per_error: dict[str, Pace] = Field(default_factory=dict)
    """Another pace for an error class, by its name."""
    max_elapsed_ms: DurationMs = Field(default=0, alias="max_elapsed")
    """How long after the first attempt there may be another one; 0 sets no limit."""
    exhausted: Literal["fail", "block"] = "fail"
    """What follows the last attempt: the step fails, or the workflow is blocked until a person acts."""
    errors: tuple[str, ...] = ("rate_limited", "unavailable", "timeout", "lease_expired")
    """Error classes worth another attempt, beside those that the executor reports as such."""


class Tool(Model):
    """The part of a tool's manifest that a definition pins when it is applied."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    description: str = ""
    effect: Effect
    timeout_ms: int = Field(gt=0)
    max_attempts: int = Field(default=3, ge=1)
    lookup: bool = False
    visibility_lag_ms: int = Field(default=0, ge=0)
    key_lifetime_ms: int = Field(default=0, ge=0)
    reversible: bool = False
    input_schema: dict[str, Json]
    output_schema: dict[str, Json] = Field(default_factory=dict)
    manifest_hash: str


class _Step(Model):
    purpose: str = ""
    """What the step is for, in a sentence, for people."""


class _Working(_Step):
    """A step that does something and goes on."""

    next: StepName
    """The step that follows when this one has done what it is for."""
    timeout_ms: DurationMs = Field(default=600_000, alias="timeout")
    """How long the step may take; then it fails with the error class `timeout`."""
    catch: dict[str, StepName] = Field(default_factory=dict)
    """Where errors lead: the step to go on with, by error class; `*` is any other class."""


class _Calling(_Working):
    """A step that calls a model or a tool."""

    priority: Priority | None = None
    """How urgent its calls are next to others of its tenant and class, 0 to 9; else as the definition says."""


class AgentStep(_Calling):
    """A model with instructions and tools; each model call and each tool call is one recorded task."""

    kind: Literal["agent"]
    model: str = "default"
    """The name of the model, as executors know it."""
    instructions: str
    """The system message. May hold `${...}`."""
    prompt: Json = ""
    """The first message, text or JSON. May hold `${...}`."""
    tools: tuple[str, ...] = ()
    """The tools that the model may call."""
    output: dict[str, Json] | None = None
    """The JSON Schema of the answer; without one, the answer is text."""
    check: tuple[str, ...] = ()
    """Conditions (CEL) that an answer has to meet as well."""
    max_turns: int = Field(default=8, ge=1, le=200)
    """How many times the model is asked at most, repairs included."""
    max_repairs: int = Field(default=2, ge=0, le=10)
    """How often an answer that is not accepted is sent back with the reasons."""
    max_output_tokens: int = Field(default=1_024, ge=1)
    """How many tokens one answer may have."""
    call_timeout_ms: DurationMs = Field(default=60_000, alias="call_timeout")
    """How long one call of the model may take."""
    retry: Retry = Retry()
    """When a call that failed is made again."""


class Restore(Model):
    """Putting a prior value back: it was read before the write, and is read again before it is overwritten."""

    read: StepName
    """The tool step before this one that read the prior value, by a tool with the effect `read`."""
    written: Json = None
    """What the same call reads after this step, if nobody else writes. May hold `${...}`; null: this step's output."""


def _none(value: object) -> object:
    return None if value == "none" else value


class Compensate(Model):
    """The call that undoes what a tool step did; its arguments see the step's own output.

    With `roles`, a person has to allow that exact call first. With `restore` it is made only while nobody has changed
    since what the step wrote; where somebody has, a person has to see to it.
    """

    tool: str
    """The tool that undoes the effect."""
    arguments: dict[str, Json] = Field(default_factory=dict)
    """Its arguments. May hold `${...}`, and see the step's own output."""
    roles: tuple[str, ...] = ()
    """Who has to allow the call first; nobody by default."""
    restore: Restore | None = None
    """What is compared first, if the call puts a prior value back."""
    retry: Retry = Retry(max_attempts=5)
    """When the call is made again."""
    timeout_ms: DurationMs = Field(default=3_600_000, alias="timeout")
    """How long undoing may take; then the workflow is blocked."""


class ToolStep(_Calling):
    """One call of one tool with computed arguments; `approved_by` names the approval step that allowed it."""

    kind: Literal["tool"]
    tool: str
    """The tool to call."""
    arguments: dict[str, Json] = Field(default_factory=dict)
    """Its arguments. May hold `${...}`."""
    approved_by: StepName | None = None
    """The approval step that allows this exact call."""
    check: tuple[str, ...] = ()
    """Conditions (CEL) that the result has to meet."""
    retry: Retry = Retry()
    """When a call that failed is made again."""
    compensate: Annotated[Compensate | None, BeforeValidator(_none)] = None
    """The call that undoes the effect if the workflow ends without its goal; `none` says that it is meant to stay."""


class ApprovalStep(_Working):
    """Asks a person to allow one exact call. Rejection and silence are the errors `rejected` and `timeout`."""

    kind: Literal["approval"]
    tool: str
    """The tool that is to be called."""
    arguments: dict[str, Json] = Field(default_factory=dict)
    """The arguments of the call. May hold `${...}`."""
    roles: tuple[Annotated[str, Field(pattern=r"\S")], ...] = Field(min_length=1)
    """Whose members may decide."""
    summary: str = ""
    """What is asked, in a sentence for the reviewer. May hold `${...}`."""
    timeout_ms: DurationMs = Field(alias="timeout")
    """How long the decision is awaited."""


class AwaitedEvent(Model):
    """One event of several that a step waits for, by type and, where given, correlation value."""

    event: EventType
    """The type of the event."""
    correlation: str = ""
    """The value that the event has to carry; any if empty. May hold `${...}`."""


class WaitStep(_Working):
    """Waits for an event from outside, by type and, where given, correlation value.

    With `events` for the first of several: the output is then `{event, correlation, payload}` of the one that came,
    else the payload alone.
    """

    kind: Literal["wait"]
    event: EventType | Literal[""] = ""
    """The type of the event."""
    correlation: str = ""
    """The value that the event has to carry; any if empty. May hold `${...}`."""
    events: tuple[AwaitedEvent, ...] = Field(default=(), max_length=16)
    """The events of which the first one ends the wait, in place of `event`."""
    timeout_ms: DurationMs = Field(alias="timeout")
    """How long the event is awaited."""

    @model_validator(mode="after")
    def _names_one_or_several(self) -> Self:
        if bool(self.event) == bool(self.events) or (self.events and self.correlation):
            raise ValueError("a wait names one `event`, or several under `events`, each with its own `correlation`")
        return self

    @property
    def types(self) -> frozenset[str]:
        """The types of the events that end it."""
        return frozenset(awaited.event for awaited in self.events) if self.events else frozenset({self.event})


class SleepStep(_Step):
    """Waits for a duration, until a time (ms since 1970 or RFC 3339 text), or until a calendar window is open.

    With `for` or `until` and `within`, it waits on after that time until the window is open.
    """

    kind: Literal["sleep"]
    next: StepName
    """The step that follows."""
    for_ms: DurationMs | None = Field(default=None, alias="for")
    """How long."""
    until: str | None = None
    """Until when: ms since 1970 or RFC 3339 text. May hold `${...}`."""
    within: CalendarWindow | None = None
    """The hours at which the workflow may go on."""

    @model_validator(mode="after")
    def _knows_when(self) -> Self:
        if self.for_ms is not None and self.until is not None:
            raise ValueError("give `for` or `until`, not both")
        if self.for_ms is None and self.until is None and self.within is None:
            raise ValueError("say how long: `for`, `until` or `within`")
        return self


class Branch(Model):
    """One way out of a choice."""

    when: str
    """The condition (CEL)."""
    next: StepName
    """The step that follows if it is true."""


class ChoiceStep(_Step):
    """Takes the first branch whose condition is true, else the default."""

    kind: Literal["choice"]
    branches: tuple[Branch, ...] = Field(min_length=1)
    """Conditions and where they lead, in the order in which they are tried."""
    default: StepName
    """The step that follows if no condition is true."""


class ParallelBranch(Model):
    """One branch of a parallel step: its first step, and the condition under which it runs."""

    start: StepName
    """The first step of the branch."""
    when: str = ""
    """The condition (CEL) under which it runs; always if empty."""


def _branches(value: object) -> object:
    if isinstance(value, dict):
        return {name: {"start": branch} if isinstance(branch, str) else branch for name, branch in value.items()}
    return value


class ParallelStep(_Working):
    """Branches side by side; each ends at a `succeed` or `fail` step of its own.

    `join` says how many must complete; `on_failure` what a branch that fails does to the others: `fail_fast` gives up
    as soon as the join cannot be met any more, `wait_all` lets the others come to their ends first, `ignore` never
    fails the step. A branch may be written as the name of its first step.
    """

    kind: Literal["parallel"]
    branches: Annotated[dict[StepName, ParallelBranch], BeforeValidator(_branches), Field(min_length=1, max_length=100)]
    """The branches by name."""
    join: Literal["all", "any"] | Annotated[int, Field(ge=1)] = "all"
    """How many have to complete before the workflow goes on."""
    on_failure: Literal["fail_fast", "wait_all", "ignore"] = "fail_fast"
    """What a branch that fails does to the others."""
    timeout_ms: DurationMs = Field(alias="timeout")
    """How long all of it may take."""

    def wanted(self, total: int) -> int:
        """How many of `total` branches have to complete."""
        if self.join == "all":
            return total
        return 1 if self.join == "any" else min(self.join, total)


class MapStep(_Working):
    """The steps from `do` on, for every item of a list or of content, at most `concurrency` at a time.

    An item is a workflow of its own with the input `{item, index, shared}`. More than `max_failures` items that fail
    fail the step: at once with `fail_fast`, once all have ended with `wait_all`, never with `ignore`. A list may have
    1,000 items; a reference to JSON lines in the content store 100,000, and its `results` are such a reference too.
    """

    kind: Literal["map"]
    items: str | list[Json]
    """The list, or an expression `${...}` that gives it or a reference to JSON lines (`holdfast content put`)."""
    do: StepName
    """The first step of each item."""
    shared: Json = Field(default_factory=dict)
    """What every item can read as `input.shared`. May hold `${...}`."""
    concurrency: int = Field(default=10, ge=1, le=1_000)
    """How many items run at a time."""
    max_items: int = Field(default=1_000, ge=1, le=100_000)
    """How many items there may be; more fail the step."""
    max_failures: int = Field(default=0, ge=0)
    """How many items may fail."""
    on_failure: Literal["fail_fast", "wait_all", "ignore"] = "fail_fast"
    """What more failures than that do."""
    budget: Budget = Budget()
    """What each item may spend; by default an even part of what the workflow has left."""
    timeout_ms: DurationMs = Field(alias="timeout")
    """How long all of it may take."""


class ChildStep(_Working):
    """Another workflow. With `wait` the step ends as it does; `on_parent_end` says what becomes of it without us."""

    kind: Literal["child"]
    definition: str = Field(pattern=f"^{DEFINITION_NAME_PATTERN}$")
    """The definition to start, by name; which version is pinned when this one is applied."""
    input: Json = Field(default_factory=dict)
    """Its input. May hold `${...}`."""
    wait: bool = True
    """Whether the step ends as the child does, or as soon as it is asked for."""
    budget: Budget = Budget()
    """What the child may spend; by default all that the workflow has left."""
    on_parent_end: Literal["cancel", "leave"] = "cancel"
    """What becomes of a child that nobody waits for any more: it is cancelled, or left alone."""
    timeout_ms: DurationMs = Field(alias="timeout")
    """How long the child may take; it is bound by that as well."""


class ScheduleStep(_Step):
    """Starts a workflow at every firing of its timing, until there is none left.

    `timing` says when, and what becomes of a firing while an earlier workflow runs.
    """

    kind: Literal["schedule"]
    timing: Timing
    """When."""
    definition: str = Field(pattern=f"^{DEFINITION_NAME_PATTERN}$")
    """The definition to start, by name; which version is pinned when this one is applied."""
    input: Json = Field(default_factory=dict)
    """Its input. May hold `${...}`."""
    next: StepName
    """The step that follows the last firing."""


class AssignStep(_Step):
    """Sets variables."""

    kind: Literal["assign"]
    set: dict[str, Json] = Field(min_length=1)
    """The variables by name. Values may hold `${...}`, and are read as `vars.<name>`."""
    next: StepName
    """The step that follows."""


class SucceedStep(_Step):
    """Ends the workflow with an output."""

    kind: Literal["succeed"]
    output: Json = Field(default_factory=dict)
    """The output of the workflow, the branch or the item. May hold `${...}`."""


class FailStep(_Step):
    """Ends the workflow with an error."""

    kind: Literal["fail"]
    error: str = "failed"
    """The error class."""
    message: str = ""
    """What went wrong, in a sentence. May hold `${...}`."""


Step = Annotated[
    AgentStep
    | ToolStep
    | ApprovalStep
    | WaitStep
    | SleepStep
    | ChoiceStep
    | ParallelStep
    | MapStep
    | ChildStep
    | ScheduleStep
    | AssignStep
    | SucceedStep
    | FailStep,
    Field(discriminator="kind"),
]


class EventRule(Model):
    """What becomes of an event that is sent to a workflow while no step waits for it.

    It is kept for `ttl` (until the workflow ends, if there is none) if one of the steps under `allowed_in` is under
    way (any, if there are none), and refused otherwise; with `keep: false` always.
    """

    keep: bool = True
    """Whether it is kept at all."""
    ttl_ms: Annotated[DurationMs, Field(gt=0)] | None = Field(default=None, alias="ttl")
    """How long it is kept."""
    allowed_in: tuple[StepName, ...] = ()
    """The steps of which one has to be under way."""

    @model_validator(mode="after")
    def _says_more_only_of_what_is_kept(self) -> Self:
        if not self.keep and (self.ttl_ms is not None or self.allowed_in):
            raise ValueError("an event that is not kept has neither `ttl` nor `allowed_in`")
        return self


class CallLimit(Model):
    """What the calls of one class may do together, over all workflows of the definition."""

    max_in_flight: int = Field(default=0, ge=0)
    """How many there may be at the same time; 0 sets no limit."""
    requests: RateText = ""
    """How many may begin in an interval: `10/s`, `1000/min`, `5/h`."""
    units: RateText = ""
    """How many units, which are tokens of models, they may use in an interval."""


class Definition(Model):
    """A whole workflow definition.

    `input` is the JSON Schema of the workflow's input; `deadline` bounds the whole run, `idle_timeout` the time in
    which nothing happens to it; what follows when one of them is reached is declared: `fail` at once, `compensate` what
    was done and fail, or `escalate` to a person. `settle` is how long calls that are under way are awaited when the
    workflow ends without its goal. `events` says, by type, what becomes of events that come early; `limits`, by class
    (`model`, `tool`, `model:NAME`, `tool:NAME`), what all its workflows may do together. `tools` holds the
    pinned manifests and `children` the hashes of the definitions that `child` and `schedule` steps name: both are
    filled in when the definition is applied, never by hand.
    """

    name: str = Field(pattern=f"^{DEFINITION_NAME_PATTERN}$")
    """What workflows are started by."""
    purpose: str = ""
    """What it is for, in a sentence, for people."""
    input: dict[str, Json] = Field(default_factory=dict)
    """The JSON Schema of the input."""
    deadline_ms: DurationMs = Field(alias="deadline", gt=0)
    """How long a workflow may take altogether."""
    on_deadline: OnLimit = "compensate"
    """What happens then."""
    idle_timeout_ms: DurationMs = Field(default=0, alias="idle_timeout")
    """How long nothing may happen to a workflow; 0 sets no limit."""
    on_idle: OnLimit = "compensate"
    """What happens then."""
    settle_ms: DurationMs = Field(default=30_000, alias="settle")
    """How long calls that are under way are awaited when a workflow ends without its goal."""
    budget: Budget = Budget()
    """What a workflow may spend."""
    max_steps: int = Field(default=1_000, ge=1, le=100_000)
    """How many steps a workflow may enter, repeated ones included."""
    start: StepName
    """The first step."""
    steps: dict[StepName, Step] = Field(min_length=1)
    """The steps by name."""
    events: dict[EventType, EventRule] = Field(default_factory=dict)
    """What becomes of events of a type that nobody waits for yet."""
    priority: Priority = PRIORITY
    """How urgent its calls are next to others of the same tenant and class, 0 to 9."""
    limits: dict[CallClass, CallLimit] = Field(default_factory=dict)
    """What the calls of a class may do together, over all workflows of the definition."""
    tools: dict[str, Tool] = Field(default_factory=dict)
    """The pinned manifests of the tools that are named; filled in by `holdfast apply`."""
    children: dict[str, str] = Field(default_factory=dict)
    """The pinned hashes of the definitions that are named; filled in by `holdfast apply`."""

    def body(self) -> Json:
        """The canonical form: every field, defaults included, durations in ms."""
        body: Json = self.model_dump(mode="json", by_alias=True)
        return body

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form, lower-case hex: the definition's identity."""
        return jsontext.digest(self.body())
