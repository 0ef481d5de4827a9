"""An event loop in virtual time: nothing waits, and the same program always runs in the same order.

Whatever is scheduled belongs to the process in whose context it was scheduled. What belongs to a dead process never
runs again, not even a `finally`; what belongs to a suspended one runs when it wakes up.
"""

import asyncio
import contextlib
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any


class Owner:
    """Whom scheduled work belongs to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.suspended = False
        self.parked: list[asyncio.Handle] = []


OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("owner", default=None)


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in the order of their time, and those of one moment in the order in which they were scheduled."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._scheduled = 0
        self._stopped = False
        self.problems: list[dict[str, Any]] = []
        self._nobody = contextvars.copy_context()
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now

    def run(self, limit_s: float) -> None:
        """Run until `stop`, or until nothing is left to do, or until so many virtual seconds have passed."""
        asyncio._set_running_loop(self)
        try:
            while not self._stopped:
                if self._ready:
                    self._run_handle(self._ready.popleft())
                elif self._timers and self._timers[0][0] <= limit_s:
                    when, _, handle = heapq.heappop(self._timers)
                    self._now = max(self._now, when)
                    self._run_handle(handle)
                else:
                    return
        finally:
            asyncio._set_running_loop(None)

    def _run_handle(self, handle: asyncio.Handle) -> None:
        if handle._cancelled:
            return
        owner: Owner | None = handle._context.get(OWNER)  # type: ignore[attr-defined]
        if owner is not None:
            if not owner.alive:
                return
            if owner.suspended:
                owner.parked.append(handle)
                return
        handle._run()

    def stop(self) -> None:
        """Run no further callback."""
        self._stopped = True

    def close(self) -> None:
        """Let go of everything that has not ended. What its `finally` would do belongs to nobody any more."""
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(Exception):
                    task.get_coro().close()

    def wake(self, owner: Owner) -> None:
        """Let everything run that came due while its owner was suspended."""
        owner.suspended = False
        self._ready.extend(owner.parked)
        owner.parked.clear()

    def outside(self, delay_s: float, callback: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
        """Schedule what belongs to no process: what the network and the broker do."""
        return self.call_at(self._now + delay_s, callback, *arguments, context=self._nobody)

    def provide(self, variable: contextvars.ContextVar[Any], value: object) -> None:
        """Let everybody find a value in their context; before anything is spawned."""
        self._nobody.run(variable.set, value)

    def spawn(self, owner: Owner, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a coroutine that belongs to a process, with everything that it starts."""
        context = self._nobody.copy()
        context.run(OWNER.set, owner)
        return self.create_task(work, context=context)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """See asyncio."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._scheduled += 1
        heapq.heappush(self._timers, (when, self._scheduled, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""

    def create_future(self) -> "asyncio.Future[Any]":
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        """See asyncio."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **kwargs)
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        """See asyncio."""
        return False

    def is_running(self) -> bool:
        """See asyncio."""
        return True

    def is_closed(self) -> bool:
        """See asyncio."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what went wrong where nobody looked. Tasks of dead processes are no problem."""
        if "exception" in context:
            self.problems.append(context)
