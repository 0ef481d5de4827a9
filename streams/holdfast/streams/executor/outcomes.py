"""What can come of a call, as values, and the error classes that executors give.

Tools may add classes of their own (`ToolError.code`); the ones here mean the same everywhere.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json

TIMEOUT = "timeout"
UNKNOWN_TOOL = "unknown_tool"
NO_LOOKUP = "no_lookup"
EFFECT_CHANGED = "effect_changed"
RESULT_TOO_LARGE = "result_too_large"
EXECUTOR_STOPPED = "executor_stopped"
WITHDRAWN = "withdrawn"
RATE_LIMITED = "rate_limited"
BUDGET_EXHAUSTED = "budget_exhausted"
UNAVAILABLE = "unavailable"
PERMISSION_DENIED = "permission_denied"
INVALID_REQUEST = "invalid_request"
INVALID_OUTPUT = "invalid_output"
INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A call that came to nothing. The fields are those of ReportTaskFailure."""

    error_class: str
    error_message: str
    retryable: bool
    outcome_unknown: bool = False
    http_status: int = 0
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """What a tool returned."""

    result: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What a model answered. The fields are those of ReportModelResult."""

    provider: str
    model: str
    response: Json
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_microusd: int


Outcome = ToolAnswer | ModelAnswer | Failure


def units_of(outcome: Outcome | None) -> int | None:
    """What a call has used: a model's tokens. None if nobody knows, or if it is as expected."""
    return outcome.input_tokens + outcome.output_tokens if isinstance(outcome, ModelAnswer) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of a search for traces of a call. The fields are those of ReportLookup."""

    found: bool = False
    result: Json = None
    evidence: str = ""
    error_class: str = ""
    error_message: str = ""
