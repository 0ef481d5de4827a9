"""Retry policy: exponential, capped, with jitter that is the same everywhere."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.streams.core.definition import Retry
from holdfast.streams.core.jitter import jitter
from holdfast.streams.core.retry import delay_ms, may_retry


@given(st.integers(1, 100), st.text(), st.integers(0, 10**7))
def test_a_delay_is_never_shorter_than_asked_for_nor_longer_than_the_cap(attempt: int, seed: str, asked: int) -> None:
    policy = Retry()
    delay = delay_ms(policy, attempt, "timeout", seed, asked)
    assert asked <= delay <= max(asked, policy.maximum_ms * (1 + policy.jitter))
    assert delay == delay_ms(policy, attempt, "timeout", seed, asked)


@given(st.text())
def test_jitter_is_a_fraction(seed: str) -> None:
    assert 0 <= jitter(seed) < 1


def test_attempts_end() -> None:
    policy = Retry(max_attempts=2)
    assert may_retry(policy, 1, "unavailable", retryable=False)
    assert not may_retry(policy, 2, "unavailable", retryable=True)
    assert not may_retry(policy, 1, "tool_error", retryable=False)
