"""Errors of model servers as failures: a table from HTTP status to class, and what Retry-After asks for."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import openai

from holdfast.streams.executor import outcomes
from holdfast.streams.executor.limits import RETRY_AFTER_LIMIT_MS
from holdfast.streams.executor.outcomes import Failure
from holdfast.tools.errors import shortened

# status -> (class, may another attempt succeed)
_BY_STATUS: Mapping[int, tuple[str, bool]] = {
    401: (outcomes.PERMISSION_DENIED, False),
    403: (outcomes.PERMISSION_DENIED, False),
    408: (outcomes.UNAVAILABLE, True),
    409: (outcomes.UNAVAILABLE, True),
    429: (outcomes.RATE_LIMITED, True),
}
_OTHER_CLIENT_ERROR = (outcomes.INVALID_REQUEST, False)
_OTHER_ERROR = (outcomes.UNAVAILABLE, True)
_NO_QUOTA = "insufficient_quota"
_HINTS = {404: " (does the base URL end in the version path, such as /v1, and does the server have this model?)"}


def classify(error: openai.APIError, *, now_s: float) -> Failure:
    """The failure that an error of the client means. `now_s` (since 1970) is for servers that answer without a date."""
    if isinstance(error, openai.APITimeoutError):
        return Failure(error_class=outcomes.TIMEOUT, error_message="the server did not answer in time", retryable=True)
    if not isinstance(error, openai.APIStatusError):
        cause = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        return Failure(error_class=outcomes.UNAVAILABLE, error_message=shortened(cause), retryable=True)
    status = error.status_code
    message = shortened(str(error)) + _HINTS.get(status, "")
    if status == 429 and _NO_QUOTA in (error.code, error.type):
        return Failure(
            error_class=outcomes.BUDGET_EXHAUSTED, error_message=message, retryable=False, http_status=status
        )
    error_class, retryable = _BY_STATUS.get(status, _OTHER_CLIENT_ERROR if 400 <= status < 500 else _OTHER_ERROR)
    return Failure(
        error_class=error_class,
        error_message=message,
        retryable=retryable,
        http_status=status,
        retry_after_ms=retry_after_ms(error.response.headers, now_s=now_s) if retryable else 0,
    )


def retry_after_ms(headers: Mapping[str, str], *, now_s: float) -> int:
    """What Retry-After asks for: seconds, or a date seen by the server's own clock; 0 if it says nothing readable."""
    value = headers.get("retry-after", "").strip()
    try:
        wait_s = float(value)
    except ValueError:
        until = _date_s(value)
        wait_s = 0.0 if until is None else until - (_date_s(headers.get("date", "")) or now_s)
    if not wait_s > 0:  # also for "nan"
        return 0
    return int(min(wait_s * 1000, RETRY_AFTER_LIMIT_MS))


def _date_s(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
