"""Work that executors take. Written by the orchestrator only.

Each class mirrors the newest version of its `.avsc` in `avro/tasks/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json, Record

NAMESPACE = "holdfast.task.v1"
WITHDRAWN = "withdrawn"
"""Reason of a StopTask for whoever has the attempt; other reasons refuse the claim that is the cause of the record."""


@dataclass(frozen=True, kw_only=True)
class RunModelCall(Record):
    """Make one model call."""

    effect_key: str
    attempt: int
    step: str
    model: str
    messages: Json
    parameters: Json
    timeout_ms: int
    lease_ms: int
    deadline_at_ms: int
    priority: int = 5
    limits: Json = None


@dataclass(frozen=True, kw_only=True)
class RunToolCall(Record):
    """Make one tool call."""

    effect_key: str
    attempt: int
    step: str
    tool: str
    effect: str
    arguments: Json
    action_hash: str
    timeout_ms: int
    lease_ms: int
    deadline_at_ms: int
    priority: int = 5
    limits: Json = None


@dataclass(frozen=True, kw_only=True)
class GrantTask(Record):
    """Tell an executor that its claim won, before a call that must not be made twice."""

    effect_key: str
    attempt: int
    executor_id: str


@dataclass(frozen=True, kw_only=True)
class LookUpEffect(Record):
    """Find out whether a call took effect."""

    effect_key: str
    attempt: int
    lookup: int
    step: str
    tool: str
    arguments: Json
    not_before_at_ms: int
    timeout_ms: int


@dataclass(frozen=True, kw_only=True)
class StopTask(Record):
    """Tell executors that nobody waits for an attempt any more, or one of them that its claim was refused."""

    effect_key: str
    attempt: int
    reason: str
