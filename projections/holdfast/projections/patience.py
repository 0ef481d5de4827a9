"""Trying again while ClickHouse takes nothing, and being able to say so meanwhile."""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from holdfast.projections.store import TROUBLES, TransientError

log = logging.getLogger(__name__)

FOR_EVER = math.inf
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
AnyT = TypeVar("AnyT")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why nothing can be stored: a stable code, the store's words, since when (ms since the epoch), how many tries."""

    code: str
    message: str
    since_ms: int
    attempts: int


class Patience:
    """Insists on calls to a store, one at a time. `trouble` is what the call under way waits for, None if nothing."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None

    async def insist(self, call: Callable[[], Awaitable[AnyT]], limit_s: float = FOR_EVER) -> AnyT:
        """The result of `call`, tried again after each TransientError until `limit_s` have passed, then raises it."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
            stop=stop_after_delay(limit_s),
            before_sleep=self._note,
            reraise=True,
        ):
            with attempt:
                result = await call()
        self._forget()
        return result

    def status(self) -> dict[str, Any] | None:
        """The trouble as plain values, None if there is none."""
        return asdict(self.trouble) if self.trouble else None

    def _note(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        problem = state.outcome.exception()
        assert isinstance(problem, TransientError)
        since_ms = self.trouble.since_ms if self.trouble else time.time_ns() // 1_000_000
        self.trouble = Trouble(
            code=problem.code, message=str(problem), since_ms=since_ms, attempts=state.attempt_number
        )
        log.warning("%s: %s, attempt %d: %s", problem.code, TROUBLES[problem.code], state.attempt_number, problem)

    def _forget(self) -> None:
        if self.trouble:
            lasted_s = time.time() - self.trouble.since_ms / 1000
            log.warning("ClickHouse takes rows again, after %.0f s (%s)", lasted_s, self.trouble.code)
        self.trouble = None
