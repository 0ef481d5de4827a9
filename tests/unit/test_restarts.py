"""When a process is started again: soon at first, ever more slowly, and not without end."""

import pytest

from holdfast.ops.restarts import RestartPolicy, Restarts
from holdfast.projections.sink import START_TIMEOUT_S
from holdfast.streams.broker_wait import BROKER_WAIT_S

POLICY = RestartPolicy(first_s=0.2, longest_s=10, settled_s=60, limit=20)


def dies_at_once(restarts: Restarts, times: int, now_s: float = 0.0) -> list[float | None]:
    return [restarts.after_exit(started_s=now_s, now_s=now_s) for _ in range(times)]


def test_waits_double_up_to_the_longest() -> None:
    assert dies_at_once(Restarts(POLICY), 8) == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]


def test_a_long_life_makes_the_next_wait_short_again() -> None:
    restarts = Restarts(POLICY)
    dies_at_once(restarts, 5)
    assert restarts.after_exit(started_s=0, now_s=60) == 0.2
    assert restarts.after_exit(started_s=60, now_s=61) == 0.4


def test_more_restarts_in_a_row_than_the_limit_are_not_made() -> None:
    restarts = Restarts(POLICY)
    waits = dies_at_once(restarts, 21)
    assert waits[-1] is None
    assert None not in waits[:-1]
    assert restarts.count == 20


def test_a_process_that_needs_a_while_to_fail_is_given_up_too() -> None:
    restarts, now_s = Restarts(POLICY), 0.0
    for _ in range(20):
        pause_s = restarts.after_exit(started_s=now_s, now_s=now_s + 59)
        assert pause_s is not None
        now_s += 59 + pause_s
    assert restarts.after_exit(started_s=now_s, now_s=now_s + 59) is None


def test_deaths_before_a_long_life_do_not_count() -> None:
    restarts = Restarts(POLICY)
    dies_at_once(restarts, 20)
    assert restarts.after_exit(started_s=0, now_s=60) == 0.2


@pytest.mark.parametrize("wait_s", [BROKER_WAIT_S, START_TIMEOUT_S])
def test_whoever_waits_for_a_part_that_is_away_is_never_given_up(wait_s: float) -> None:
    restarts, now_s = Restarts(RestartPolicy()), 0.0
    for _ in range(100):
        pause_s = restarts.after_exit(started_s=now_s, now_s=now_s + wait_s)
        assert pause_s is not None
        now_s += wait_s + pause_s
