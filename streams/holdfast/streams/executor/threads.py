"""Sync functions in threads. There are never more threads than calls at one time: slots bound their number.

A thread cannot be stopped. When its call is cancelled it goes on to its end, and keeps its slot until then. The
threads are daemons: a function that hangs for ever does not keep a stopping process alive.
"""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    ended: "asyncio.Future[Any]"


class Threads:
    """Runs sync functions for one event loop. `on_freed` is called on it when an abandoned call has ended."""

    def __init__(self) -> None:
        self.abandoned = 0
        self.on_freed: Callable[[], None] = lambda: None
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._busy = 0
        self._threads = 0

    async def call(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """What a sync or async function returns or raises; a sync one runs in a thread."""
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        returned = await self.run(function, arguments)
        return await returned if inspect.isawaitable(returned) else returned

    async def run(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """What `function(**arguments)` returns or raises, in the caller's context."""
        loop = asyncio.get_running_loop()
        job = _Job(function, arguments, contextvars.copy_context(), loop, loop.create_future())
        self._busy += 1
        if self._busy > self._threads:
            self._threads += 1
            threading.Thread(target=self._work, name=f"call-{self._threads}", daemon=True).start()
        self._jobs.put(job)
        try:
            return await job.ended
        except asyncio.CancelledError:
            if job.ended.cancelled():
                self.abandoned += 1
            raise

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            result, error = _outcome(job)
            try:
                job.loop.call_soon_threadsafe(self._settle, job.ended, result, error)
            except RuntimeError:
                return  # the loop has closed: the process is ending

    def _settle(self, ended: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
        self._busy -= 1
        if ended.cancelled():
            self.abandoned -= 1
            self.on_freed()
        elif error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(result)


def _outcome(job: _Job) -> tuple[Any, Exception | None]:
    try:
        return job.context.run(job.function, **job.arguments), None
    except BaseException as exc:
        # A future refuses StopIteration, and a SystemExit of a tool must not end the thread in silence.
        if isinstance(exc, Exception) and not isinstance(exc, StopIteration):
            return None, exc
        return None, RuntimeError(f"{getattr(job.function, '__name__', 'the call')} raised {exc!r}")
