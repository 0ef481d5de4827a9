"""Ctrl-C and `kill`: the first one ends what a command does, and none after it cuts the orderly stop short."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def raise_once() -> None:
    """Have the next interrupt raise KeyboardInterrupt, and the ones after it nothing."""
    _handle(_raise)


def ignore() -> None:
    """Have interrupts do nothing from now on."""
    _handle(signal.SIG_IGN)


def run_until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, but for an interrupt, which cancels `work` where it waits. Raises KeyboardInterrupt then.

    A handler that raises does so wherever the loop is at that moment, also inside of a client or of a cleanup, which
    then tells of the interrupt as of an error of its own.
    """
    interrupted = False

    async def guarded() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            nonlocal interrupted
            if not interrupted:
                interrupted = True
                task.cancel()

        for number in SIGNALS:
            loop.add_signal_handler(number, interrupt)
        return await work

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        result = asyncio.run(guarded())
    except (asyncio.CancelledError, Exception):
        if not interrupted:
            raise
    finally:
        for number, action in before.items():
            signal.signal(number, signal.SIG_IGN if interrupted else action)
    if interrupted:
        raise KeyboardInterrupt
    return result


def _handle(action: Any) -> None:
    for number in SIGNALS:
        signal.signal(number, action)


def _raise(*_: Any) -> NoReturn:
    ignore()
    raise KeyboardInterrupt
