"""What executors, timers and child workflows tell the fold. Written to the inbox only.

Each class mirrors the newest version of its `.avsc` in `avro/reports/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json, Record

NAMESPACE = "holdfast.report.v1"


@dataclass(frozen=True, kw_only=True)
class ClaimTask(Record):
    """Hold an attempt; the first claim wins."""

    effect_key: str
    attempt: int
    executor_id: str
    lease_ms: int


@dataclass(frozen=True, kw_only=True)
class ExtendLease(Record):
    """Keep an attempt that is still at work."""

    effect_key: str
    attempt: int
    executor_id: str
    lease_ms: int


@dataclass(frozen=True, kw_only=True)
class ReleaseTask(Record):
    """Give an attempt back without having acted."""

    effect_key: str
    attempt: int
    executor_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReportModelResult(Record):
    """A model answered."""

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
class ReportToolResult(Record):
    """A tool returned."""

    effect_key: str
    attempt: int
    executor_id: str
    result: Json
    duration_ms: int


@dataclass(frozen=True, kw_only=True)
class ReportTaskFailure(Record):
    """An attempt came to nothing."""

    effect_key: str
    attempt: int
    executor_id: str
    error_class: str
    error_message: str
    http_status: int
    retry_after_ms: int
    retryable: bool
    outcome_unknown: bool
    duration_ms: int


@dataclass(frozen=True, kw_only=True)
class FireTimer(Record):
    """A timer of a workflow came due."""

    timer_id: str
    due_at_ms: int


@dataclass(frozen=True, kw_only=True)
class ReportChildEnded(Record):
    """A workflow tells the one that started it how it ended."""

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
class ReportLookup(Record):
    """An executor searched for traces of a call."""

    effect_key: str
    attempt: int
    lookup: int
    executor_id: str
    found: bool
    result: Json
    evidence: str
    error_class: str
    error_message: str
