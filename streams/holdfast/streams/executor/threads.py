"""Sync functions in threads, one thread per call; the executor's slots bound their number.

A thread cannot be stopped. When its call is cancelled it goes on to its end, and keeps its slot so that the number
of threads stays bounded. The threads are daemons: a function that hangs for ever does not keep the process alive.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Mapping
from typing import Any


class Threads:
    """Runs sync functions. `on_freed` is called on the loop when an abandoned thread has ended."""

    def __init__(self, on_freed: Callable[[], None]) -> None:
        self.abandoned = 0
        self._on_freed = on_freed

    async def run(self, name: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """What `function(**arguments)` returns or raises, in the caller's context."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(result: Any, error: BaseException | None) -> None:
            if ended.cancelled():
                self.abandoned -= 1
                self._on_freed()
            elif error is not None:
                ended.set_exception(error)
            else:
                ended.set_result(result)

        def work() -> None:
            try:
                result, error = context.run(function, **arguments), None
            except BaseException as exc:
                # A future refuses StopIteration, and the loop must not see a SystemExit that a tool raised.
                error = exc if isinstance(exc, Exception) and not isinstance(exc, StopIteration) else None
                result, error = None, error or RuntimeError(f"{name} raised {exc!r}")
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                return  # the loop has closed: the process is ending

        threading.Thread(target=work, name=name, daemon=True).start()
        try:
            return await ended
        except asyncio.CancelledError:
            if ended.cancelled():
                self.abandoned += 1
            raise
