"""Facts of one workflow, in the order of their sequence. Written by the orchestrator only.

Each class mirrors the newest version of its `.avsc` in `avro/events/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json, Record

NAMESPACE = "holdfast.event.v1"


@dataclass(frozen=True, kw_only=True)
class WorkflowStarted(Record):
    """A workflow exists from here on."""

    input: Json
    deadline_at_ms: int
    parent_id: str = ""
    parent_step: str = ""
    parent_visit: int = 0
    parent_index: int = 0
    depth: int = 0
    start_step: str = ""
    idle_timeout_ms: int = 0
    budget: Json = None


@dataclass(frozen=True, kw_only=True)
class WorkflowCompleted(Record):
    """The workflow reached a `succeed` step."""

    output: Json


@dataclass(frozen=True, kw_only=True)
class WorkflowFailed(Record):
    """The workflow ended without its goal."""

    step: str
    error_class: str
    error_message: str


@dataclass(frozen=True, kw_only=True)
class WorkflowCancelled(Record):
    """A person or a system ended the workflow."""

    reason: str
    terminated: bool = False


@dataclass(frozen=True, kw_only=True)
class WorkflowBlocked(Record):
    """The workflow cannot go on without a person."""

    step: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class StepStarted(Record):
    """A step was entered."""

    step: str
    visit: int
    kind: str
    timeout_at_ms: int
    scope: str = ""


@dataclass(frozen=True, kw_only=True)
class StepCompleted(Record):
    """A step did what it is for."""

    step: str
    visit: int
    kind: str
    output: Json
    next_step: str


@dataclass(frozen=True, kw_only=True)
class StepFailed(Record):
    """A step could not do what it is for."""

    step: str
    visit: int
    kind: str
    error_class: str
    error_message: str
    next_step: str


@dataclass(frozen=True, kw_only=True)
class ModelCallRequested(Record):
    """Intent of one paid model call, written before anybody makes it."""

    step: str
    visit: int
    turn: int
    effect_key: str
    attempt: int
    model: str
    messages: Json
    message_count: int
    parameters: Json
    request_sha256: str
    deadline_at_ms: int


@dataclass(frozen=True, kw_only=True)
class ModelCallCompleted(Record):
    """The answer of a model call, recorded before it is validated."""

    step: str
    visit: int
    turn: int
    effect_key: str
    attempt: int
    executor_id: str
    provider: str
    model: str
    response: Json
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_microusd: int
    duration_ms: int


@dataclass(frozen=True, kw_only=True)
class ModelCallFailed(Record):
    """An attempt of a model call came to nothing."""

    step: str
    visit: int
    turn: int
    effect_key: str
    attempt: int
    executor_id: str
    error_class: str
    error_message: str
    http_status: int
    retry_at_ms: int
    duration_ms: int
    retry_after_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class OutputRejected(Record):
    """An answer was not what the step asked for."""

    step: str
    visit: int
    turn: int
    effect_key: str
    errors: tuple[str, ...]
    repair_round: int


@dataclass(frozen=True, kw_only=True)
class ToolCallRequested(Record):
    """Intent of one tool call, written before anybody makes it."""

    step: str
    visit: int
    turn: int
    effect_key: str
    index: int
    attempt: int
    tool: str
    effect: str
    arguments: Json
    action_hash: str
    approval_id: str
    call_id: str
    deadline_at_ms: int
    key_until_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class ToolCallCompleted(Record):
    """The result of a tool call."""

    step: str
    visit: int
    turn: int
    effect_key: str
    index: int
    attempt: int
    executor_id: str
    tool: str
    result: Json
    duration_ms: int


@dataclass(frozen=True, kw_only=True)
class ToolCallFailed(Record):
    """An attempt of a tool call came to nothing."""

    step: str
    visit: int
    turn: int
    effect_key: str
    index: int
    attempt: int
    executor_id: str
    tool: str
    error_class: str
    error_message: str
    retry_at_ms: int
    duration_ms: int
    outcome_unknown: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolOutcomeUnknown(Record):
    """Nobody knows whether the call took effect, and it cannot simply be made again."""

    step: str
    visit: int
    turn: int
    effect_key: str
    index: int
    attempt: int
    tool: str
    effect: str
    error_message: str


@dataclass(frozen=True, kw_only=True)
class TaskClaimed(Record):
    """An executor holds an attempt until its lease ends."""

    step: str
    visit: int
    effect_key: str
    attempt: int
    executor_id: str
    lease_until_ms: int
    limit_at_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class LeaseExtended(Record):
    """An executor is still at work on its attempt."""

    step: str
    visit: int
    effect_key: str
    attempt: int
    executor_id: str
    lease_until_ms: int


@dataclass(frozen=True, kw_only=True)
class TaskReleased(Record):
    """An executor gave an attempt back without having acted."""

    step: str
    visit: int
    effect_key: str
    attempt: int
    executor_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LateResultRecorded(Record):
    """A report about an attempt that is no longer the current one. It changes nothing."""

    effect_key: str
    attempt: int
    executor_id: str
    report_type: str
    report: Json


@dataclass(frozen=True, kw_only=True)
class TimerScheduled(Record):
    """A timer of a `sleep` step was set."""

    step: str
    visit: int
    timer_id: str
    due_at_ms: int


@dataclass(frozen=True, kw_only=True)
class TimerFired(Record):
    """A limit or a sleep of this workflow came due."""

    timer_id: str
    due_at_ms: int


@dataclass(frozen=True, kw_only=True)
class ApprovalRequested(Record):
    """A person is asked to allow one exact call."""

    step: str
    visit: int
    approval_id: str
    tool: str
    arguments: Json
    action_hash: str
    roles: tuple[str, ...]
    summary: str
    expires_at_ms: int


@dataclass(frozen=True, kw_only=True)
class ApprovalDecided(Record):
    """A reviewer decided; the reviewer is the actor of this event."""

    step: str
    visit: int
    approval_id: str
    decision: str
    action_hash: str
    comment: str


@dataclass(frozen=True, kw_only=True)
class ApprovalExpired(Record):
    """Nobody decided in time."""

    step: str
    visit: int
    approval_id: str
    expires_at_ms: int


@dataclass(frozen=True, kw_only=True)
class WaitStarted(Record):
    """The workflow waits for an event from outside."""

    step: str
    visit: int
    wait_id: str
    event_type: str
    correlation: str
    expires_at_ms: int
    alternatives: Json = None


@dataclass(frozen=True, kw_only=True)
class EventReceived(Record):
    """An event from outside arrived."""

    event_type: str
    correlation: str
    source_id: str
    payload: Json
    wait_id: str
    audience: str = ""
    expires_at_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class EarlyEventExpired(Record):
    """An event from outside was given up: nobody waited for it in time."""

    event_type: str
    correlation: str
    source_id: str


@dataclass(frozen=True, kw_only=True)
class InputRejected(Record):
    """An input was refused and changed nothing."""

    code: str
    message: str
    input_type: str
    input_id: str


@dataclass(frozen=True, kw_only=True)
class BranchesStarted(Record):
    """The branches of a parallel step began."""

    step: str
    visit: int
    branches: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BranchEnded(Record):
    """A branch of a parallel step came to its end."""

    step: str
    visit: int
    branch: str
    outcome: str
    output: Json
    error_class: str
    error_message: str


@dataclass(frozen=True, kw_only=True)
class ItemsCounted(Record):
    """A map step knows how many items it has."""

    step: str
    visit: int
    total: int
    items: Json
    shared: Json


@dataclass(frozen=True, kw_only=True)
class ChildRequested(Record):
    """Intent of starting another workflow, written before it exists."""

    step: str
    visit: int
    index: int
    child_id: str
    child_definition_hash: str
    start_step: str
    input: Json
    awaited: bool
    on_parent_end: str
    deadline_limit_at_ms: int
    budget: Json = None


@dataclass(frozen=True, kw_only=True)
class ChildEnded(Record):
    """A workflow that this one started has ended."""

    step: str
    visit: int
    index: int
    child_id: str
    outcome: str
    output: Json
    error_class: str
    error_message: str
    spent: Json = None


@dataclass(frozen=True, kw_only=True)
class StepCancelled(Record):
    """A step was given up before it had done what it is for."""

    step: str
    visit: int
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StatusChanged(Record):
    """Steps that run side by side left the workflow in another status than the last of them says."""

    status: str


@dataclass(frozen=True, kw_only=True)
class WorkflowPaused(Record):
    """Nothing goes on until somebody resumes the workflow; what happens meanwhile is recorded."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class WorkflowResumed(Record):
    """A paused or blocked workflow goes on."""

    reason: str
    deadline_at_ms: int


@dataclass(frozen=True, kw_only=True)
class StepTimedOut(Record):
    """A step did not end within its limit of time."""

    step: str
    visit: int
    due_at_ms: int


@dataclass(frozen=True, kw_only=True)
class DeadlineReached(Record):
    """The workflow did not end by its deadline."""

    due_at_ms: int
    policy: str


@dataclass(frozen=True, kw_only=True)
class IdleLimitReached(Record):
    """Nothing happened to the workflow for longer than it allows."""

    due_at_ms: int
    policy: str


@dataclass(frozen=True, kw_only=True)
class StepRetried(Record):
    """An operator sends the workflow back to a step."""

    step: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StepSkipped(Record):
    """An operator ends a step in its stead."""

    step: str
    visit: int
    output: Json
    next_step: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ToolOutcomeResolved(Record):
    """Somebody found out whether a call took effect."""

    step: str
    visit: int
    effect_key: str
    attempt: int
    tool: str
    outcome: str
    result: Json
    evidence: str


@dataclass(frozen=True, kw_only=True)
class ToolLookupRequested(Record):
    """An executor is to find out whether a call took effect."""

    step: str
    visit: int
    effect_key: str
    attempt: int
    lookup: int
    tool: str
    arguments: Json
    due_at_ms: int


@dataclass(frozen=True, kw_only=True)
class ToolLookupCompleted(Record):
    """An executor searched for traces of a call."""

    step: str
    visit: int
    effect_key: str
    attempt: int
    lookup: int
    executor_id: str
    found: bool
    result: Json
    evidence: str


@dataclass(frozen=True, kw_only=True)
class ClosingStarted(Record):
    """The workflow is to end: what is under way is awaited, what was done is undone."""

    outcome: str
    step: str
    error_class: str
    error_message: str
    settle_until_ms: int


@dataclass(frozen=True, kw_only=True)
class CompensationRegistered(Record):
    """How to undo an effect is known before the effect is asked for."""

    step: str
    visit: int
    effect_key: str
    tool: str
    read_tool: str = ""
    read_arguments: Json = None
    prior: Json = None


@dataclass(frozen=True, kw_only=True)
class CompensationBound(Record):
    """The effect has happened, and the exact call that undoes it is known."""

    step: str
    visit: int
    tool: str
    effect: str
    arguments: Json
    action_hash: str
    written: Json = None


@dataclass(frozen=True, kw_only=True)
class CompensationDropped(Record):
    """The effect never happened: there is nothing to undo."""

    step: str
    visit: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class CompensationStarted(Record):
    """An effect is being undone."""

    step: str
    visit: int
    timeout_at_ms: int


@dataclass(frozen=True, kw_only=True)
class CompensationEnded(Record):
    """Undoing an effect came to its end."""

    step: str
    visit: int
    outcome: str
    error_class: str
    error_message: str


@dataclass(frozen=True, kw_only=True)
class ScheduleStarted(Record):
    """A schedule counts its firings from here on."""

    step: str
    visit: int
    after_at_ms: int


@dataclass(frozen=True, kw_only=True)
class ScheduleFired(Record):
    """A firing of a schedule came due and was acted on."""

    step: str
    visit: int
    nominal_at_ms: int
    outcome: str
    child_id: str


@dataclass(frozen=True, kw_only=True)
class ChildReleased(Record):
    """Nobody waits any more for a workflow that this one started; it is told to stop."""

    step: str
    visit: int
    child_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class WorkflowMigrated(Record):
    """The workflow runs by another definition from here on."""

    from_definition_hash: str
    to_definition_hash: str
    to_definition_name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class WorkflowForked(Record):
    """The workflow that was just started takes over what another one had come to."""

    source_id: str
    source_sequence: int
    source_hash: str
    snapshot: Json
    changes: Json
    redo: tuple[str, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class StepTakenOver(Record):
    """A visit goes on from where it stood in the workflow that this one was forked from."""

    step: str
    visit: int
    kept: Json
