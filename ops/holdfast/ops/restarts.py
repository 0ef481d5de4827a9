"""When a process that has ended is started again, and when it is given up."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """Waits of `first_s`, doubled each time up to `longest_s`; a life of `settled_s` starts that over.

    More than `limit` restarts within `window_s` are not made.
    """

    first_s: float = 0.2
    longest_s: float = 10.0
    settled_s: float = 60.0
    limit: int = 20
    window_s: float = 300.0


@dataclass
class Restarts:
    """One process's record under a policy. All times are seconds of one monotonic clock."""

    policy: RestartPolicy
    count: int = 0
    _in_a_row: int = 0
    _recent: deque[float] = field(default_factory=deque)

    def after_exit(self, *, started_s: float, now_s: float) -> float | None:
        """How many seconds to wait before the next start; None to give up."""
        policy = self.policy
        while self._recent and self._recent[0] <= now_s - policy.window_s:
            self._recent.popleft()
        if len(self._recent) >= policy.limit:
            return None
        if now_s - started_s >= policy.settled_s:
            self._in_a_row = 0
        wait_s = min(policy.first_s * 2.0**self._in_a_row, policy.longest_s)
        self._recent.append(now_s)
        self._in_a_row += 1
        self.count += 1
        return wait_s
