"""What tools return and raise, as outcomes: checked, within limits, classified."""

import orjson

from holdfast.schemas.jsontext import INPUT_DEPTH_LIMIT, check_depth
from holdfast.schemas.record import Json
from holdfast.streams.executor import outcomes
from holdfast.streams.executor.limits import TOOL_RESULT_LIMIT_BYTES
from holdfast.streams.executor.outcomes import Failure, ToolAnswer
from holdfast.tools import ToolError
from holdfast.tools.errors import INVALID_RESULT, shortened


def failure_of(exc: ToolError) -> Failure:
    """A failure that the tool named itself."""
    return Failure(
        error_class=exc.code,
        error_message=shortened(exc.message),
        retryable=exc.retryable,
        outcome_unknown=exc.outcome_unknown,
    )


def answer_of(name: str, result: Json) -> ToolAnswer | Failure:
    """A result, if a report can carry it. Its effect has happened either way."""
    try:
        text = orjson.dumps(result).decode()
        check_depth(result, text, INPUT_DEPTH_LIMIT)
    except (TypeError, ValueError) as exc:  # an integer beyond 64 bit, or nested too deep to be wrapped
        return Failure(
            error_class=INVALID_RESULT,
            error_message=f"{name} took effect but its result has no JSON form: {exc}",
            retryable=False,
        )
    size = len(text.encode())
    if size <= TOOL_RESULT_LIMIT_BYTES:
        return ToolAnswer(result=result)
    return Failure(
        error_class=outcomes.RESULT_TOO_LARGE,
        error_message=f"{name} took effect but returned {size} bytes, more than {TOOL_RESULT_LIMIT_BYTES}",
        retryable=False,
    )
