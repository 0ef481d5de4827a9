"""What others may ask for. Written by anybody allowed; ingress checks each one.

Each class mirrors the newest version of its `.avsc` in `avro/requests/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json, Record

NAMESPACE = "holdfast.request.v1"


@dataclass(frozen=True, kw_only=True)
class StartWorkflow(Record):
    """Start a workflow."""

    definition: str
    definition_hash: str
    input: Json
    parent_id: str = ""
    parent_step: str = ""
    parent_visit: int = 0
    parent_index: int = 0
    depth: int = 0
    start_step: str = ""
    deadline_limit_at_ms: int = 0
    budget: Json = None


@dataclass(frozen=True, kw_only=True)
class DeliverEvent(Record):
    """Hand an event from outside to a workflow; the meta's event id makes repeats harmless."""

    event_type: str
    correlation: str
    payload: Json
    subscription_id: str = ""
    source_id: str = ""
    broadcast: bool = False


@dataclass(frozen=True, kw_only=True)
class PublishEvent(Record):
    """Hand an event from outside to whoever waits for its type and value."""

    event_type: str
    correlation: str
    payload: Json
    ttl_ms: int
    broadcast: bool


@dataclass(frozen=True, kw_only=True)
class DecideApproval(Record):
    """Approve or reject one exact call."""

    approval_id: str
    decision: str
    action_hash: str
    comment: str


@dataclass(frozen=True, kw_only=True)
class CancelWorkflow(Record):
    """End a workflow."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class PauseWorkflow(Record):
    """Hold everything until resumed."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class ResumeWorkflow(Record):
    """Let a paused or blocked workflow go on."""

    reason: str
    extend_ms: int


@dataclass(frozen=True, kw_only=True)
class RetryStep(Record):
    """Send a workflow back to a step."""

    step: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SkipStep(Record):
    """End a step in its stead."""

    step: str
    output: Json
    reason: str


@dataclass(frozen=True, kw_only=True)
class TerminateWorkflow(Record):
    """End a workflow at once, without waiting or undoing anything."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class ResolveCall(Record):
    """Say whether a call took effect of which nobody knows."""

    effect_key: str
    outcome: str
    result: Json
    reason: str


@dataclass(frozen=True, kw_only=True)
class TriggerSchedule(Record):
    """Let a schedule fire now, whatever its overlap policy says."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class MigrateWorkflow(Record):
    """Let a workflow run by another version of its definition."""

    definition_hash: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ForkWorkflow(Record):
    """Start a workflow from a point of the history of another one."""

    definition: str
    definition_hash: str
    source_id: str
    source_sequence: int
    source_hash: str
    snapshot: Json
    changes: Json
    redo: tuple[str, ...]
    reason: str
