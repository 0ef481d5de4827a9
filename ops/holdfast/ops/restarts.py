"""When a process that has ended is started again, and when it is given up."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """Waits of `first_s`, doubled each time up to `longest_s`; a life of `settled_s` starts that over.

    After `limit` restarts in a row without such a life no other is made. What counts is how long it lived, not how
    many restarts a span of time holds: a process that needs ten seconds to fail would never be given up.
    """

    first_s: float = 0.2
    longest_s: float = 10.0
    settled_s: float = 60.0
    limit: int = 20


@dataclass
class Restarts:
    """One process's record under a policy. All times are seconds of one monotonic clock."""

    policy: RestartPolicy
    count: int = 0
    _in_a_row: int = 0

    def after_exit(self, *, started_s: float, now_s: float) -> float | None:
        """How many seconds to wait before the next start; None to give up."""
        policy = self.policy
        if now_s - started_s >= policy.settled_s:
            self._in_a_row = 0
        if self._in_a_row >= policy.limit:
            return None
        wait_s = min(policy.first_s * 2.0**self._in_a_row, policy.longest_s)
        self._in_a_row += 1
        self.count += 1
        return wait_s
