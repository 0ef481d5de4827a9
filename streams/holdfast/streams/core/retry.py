"""When a call is attempted again. Jitter comes from the call's identity, so the answer is the same everywhere."""

import hashlib

from holdfast.streams.core.definition import Retry


def jitter(seed: str) -> float:
    """A fraction in [0, 1) that is a pure function of `seed`."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32


def delay_ms(policy: Retry, attempt: int, seed: str, retry_after_ms: int = 0) -> int:
    """How long to wait after a failed attempt (counted from 1): exponential, capped, never less than asked for."""
    base = min(policy.initial_ms * policy.factor ** (attempt - 1), policy.maximum_ms)
    return max(int(base * (1 + policy.jitter * jitter(f"{seed}#{attempt}"))), retry_after_ms)


def may_retry(policy: Retry, attempt: int, error_class: str, retryable: bool) -> bool:
    """True if another attempt is allowed after this one."""
    return attempt < policy.max_attempts and (retryable or error_class in policy.errors)
