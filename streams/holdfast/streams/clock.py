"""The clocks of a process, as a value: real ones by default, those of a simulation where one is run."""

import time
from typing import Protocol


class Clock(Protocol):
    """What a process can tell about time. Nothing that is decided goes by it: that goes by the broker's time."""

    def now_ms(self) -> int:
        """The time of day by this machine, in ms since 1970. It may be wrong, and may jump."""

    def monotonic_s(self) -> float:
        """Seconds since some moment; they never go back."""


class _SystemClock:
    def now_ms(self) -> int:
        return int(time.time() * 1000)

    def monotonic_s(self) -> float:
        return time.monotonic()


SYSTEM_CLOCK: Clock = _SystemClock()
"""The clocks of this machine."""
