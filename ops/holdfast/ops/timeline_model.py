"""The story of one workflow: its journal, grouped into steps, calls, waits and approvals.

Times are ms since 1970, None for what has not happened. The classes below, as JSON, are what `holdfast show --json`
prints.
"""

from dataclasses import dataclass, field

from holdfast.schemas.record import Json


@dataclass(kw_only=True)
class Attempt:
    """One attempt of a call. `status` is open, completed, failed, unknown, released or withdrawn (with its step)."""

    number: int
    requested_at_ms: int
    status: str = "open"
    executor_id: str = ""
    ended_at_ms: int | None = None
    duration_ms: int = 0
    error_class: str = ""
    error_message: str = ""
    retry_at_ms: int | None = None


@dataclass(kw_only=True)
class Call:
    """One model or tool call (`kind`) with all its attempts. `rejections` are why a model's answer was not accepted."""

    type: str = "call"
    kind: str
    name: str
    effect_key: str
    turn: int
    effect: str = ""
    arguments: Json = None
    action_hash: str = ""
    approval_id: str = ""
    provider: str = ""
    model: str = ""
    scripted: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_microusd: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    rejections: list[str] = field(default_factory=list)

    @property
    def last(self) -> Attempt:
        """The latest attempt."""
        return self.attempts[-1]


@dataclass(kw_only=True)
class Wait:
    """A wait for an event from outside. `status` is open, received or ended (without the event).

    `alternatives` are further events, each `{event_type, correlation}`, of which the first one ends the wait.
    """

    type: str = "wait"
    wait_id: str
    event_type: str
    correlation: str
    alternatives: list[dict[str, str]] = field(default_factory=list)
    started_at_ms: int
    expires_at_ms: int
    status: str = "open"
    received_at_ms: int | None = None
    received_from: str = ""
    received_type: str = ""
    source_id: str = ""


@dataclass(kw_only=True)
class Sleep:
    """A wait for a time. `status` is open or ended."""

    type: str = "sleep"
    timer_id: str
    started_at_ms: int
    due_at_ms: int
    status: str = "open"


@dataclass(kw_only=True)
class Approval:
    """A question to a person. `status` is open, approved, rejected, expired or ended (without a decision)."""

    type: str = "approval"
    approval_id: str
    tool: str
    arguments: Json
    action_hash: str
    roles: tuple[str, ...]
    summary: str
    requested_at_ms: int
    expires_at_ms: int
    status: str = "open"
    decided_at_ms: int | None = None
    decided_by: str = ""
    comment: str = ""


@dataclass(kw_only=True)
class Branch:
    """One branch of a parallel step. `status` is running, completed, failed or cancelled.

    Its steps are the visits with the same `scope`.
    """

    type: str = "branch"
    name: str
    scope: str
    started_at_ms: int
    status: str = "running"
    ended_at_ms: int | None = None
    error_class: str = ""
    error_message: str = ""


@dataclass(kw_only=True)
class Child:
    """A workflow that a step started; `index` counts the items of a map step.

    `status` is what this workflow has heard: running, then completed, failed, cancelled or rejected; stopped or left
    once nobody waits for it. Where the tables know more, it is the child's own status, and `at_step` where it stands.
    """

    type: str = "child"
    workflow_id: str
    definition_hash: str
    index: int
    awaited: bool
    on_parent_end: str
    requested_at_ms: int
    status: str = "running"
    at_step: str = ""
    ended_at_ms: int | None = None
    error_class: str = ""
    error_message: str = ""

    @property
    def heard_of(self) -> bool:
        """True once this workflow knows how it ended."""
        return self.ended_at_ms is not None


@dataclass(kw_only=True)
class Items:
    """How far a map step is: so many items in all, started, ended, and of these failed."""

    type: str = "items"
    total: int
    started: int = 0
    ended: int = 0
    failed: int = 0
    children: list[Child] = field(default_factory=list)


@dataclass(kw_only=True)
class Firings:
    """What became of the firings of a schedule: how many of each outcome, when the last one was, what was started."""

    type: str = "firings"
    outcomes: dict[str, int] = field(default_factory=dict)
    last_at_ms: int | None = None
    children: list[Child] = field(default_factory=list)


Item = Call | Wait | Sleep | Approval | Branch | Child | Items | Firings


@dataclass(kw_only=True)
class Visit:
    """One visit of a step, or the undoing of one (kind compensation).

    `status` is running, completed, failed, skipped, cancelled, or ended (because the workflow did). `scope` names the
    branch that it belongs to, empty at the top.
    """

    type: str = "step"
    step: str
    visit: int
    kind: str
    started_at_ms: int
    timeout_at_ms: int | None
    scope: str = ""
    status: str = "running"
    ended_at_ms: int | None = None
    next_step: str = ""
    error_class: str = ""
    error_message: str = ""
    items: list[Item] = field(default_factory=list)


@dataclass(kw_only=True)
class Notice:
    """Something beside the steps.

    `kind` is refused, late, kept (an event nobody waits for yet), expired (one that was given up) or act (somebody's).
    """

    type: str = "notice"
    kind: str
    at_ms: int
    what: str
    code: str
    message: str
    actor: str


@dataclass(kw_only=True)
class Timeline:
    """One workflow. `story` has visits and notices in the order in which they began.

    `done_before` are the steps of which a fork has the outputs from where it was forked.
    """

    tenant: str
    workflow_id: str
    definition_name: str
    definition_hash: str
    status: str
    started_by: str
    started_at_ms: int
    parent_id: str = ""
    parent_step: str = ""
    parent_index: int = 0
    depth: int = 0
    start_step: str = ""
    forked_from: str = ""
    forked_at: int = 0
    done_before: tuple[str, ...] = ()
    deadline_at_ms: int
    last_sequence: int = 0
    updated_at_ms: int = 0
    ended_at_ms: int | None = None
    input: Json = None
    output: Json = None
    error_class: str = ""
    error_message: str = ""
    model_calls: int = 0
    scripted_model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0
    story: list[Visit | Notice] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """True once the workflow has ended, however it did."""
        return self.ended_at_ms is not None

    @property
    def running(self) -> list[Visit]:
        """The visits that have not ended."""
        return [entry for entry in self.story if isinstance(entry, Visit) and entry.status == "running"]

    @property
    def children(self) -> list[Child]:
        """The workflows that this one started, in the order in which it asked for them."""
        items = [item for visit in self.story if isinstance(visit, Visit) for item in visit.items]
        nested = [child for item in items if isinstance(item, Items | Firings) for child in item.children]
        return sorted(
            [*nested, *(item for item in items if isinstance(item, Child))], key=lambda child: child.requested_at_ms
        )
