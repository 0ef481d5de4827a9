"""When a call is attempted again. Jitter comes from the call's identity, so the answer is the same everywhere."""

from holdfast.streams.core.definition import Retry
from holdfast.streams.core.jitter import jitter


def delay_ms(policy: Retry, attempt: int, error_class: str, seed: str, retry_after_ms: int = 0) -> int:
    """How long to wait after a failed attempt (counted from 1): exponential, capped, never less than asked for."""
    pace = policy.per_error.get(error_class, policy)
    base = min(pace.initial_ms * pace.factor ** (attempt - 1), pace.maximum_ms)
    return max(int(base * (1 + policy.jitter * jitter(f"{seed}#{attempt}"))), retry_after_ms)


def may_retry(policy: Retry, attempt: int, error_class: str, retryable: bool) -> bool:
    """True if another attempt is allowed after this one."""
    own = policy.per_error.get(error_class)
    allowed = own.max_attempts if own is not None else policy.max_attempts
    return attempt < allowed and (retryable or own is not None or error_class in policy.errors)


def may_wait(policy: Retry, since_ms: int, until_ms: int) -> bool:
    """True if an attempt at `until_ms` still falls within the time that all attempts of a call may take together."""
    return not policy.max_elapsed_ms or until_ms - since_ms <= policy.max_elapsed_ms
