"""Tools that write down what they do, so that a test can compare what happened with what was reported.

Each line of the file named by PROBE_FILE: what (begin, end, cancelled), tool, effect key, attempt, process id.
"""

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from holdfast.tools import ToolCall, ToolError, tool


class Echo(BaseModel):
    text: str


def probe(what: str, name: str, call: ToolCall) -> None:
    with Path(os.environ["PROBE_FILE"]).open("a") as file:
        file.write(f"{what} {name} {call.effect_key} {call.attempt} {os.getpid()}\n")


async def _slow(name: str, ms: int, call: ToolCall) -> Echo:
    probe("begin", name, call)
    try:
        await asyncio.sleep(ms / 1000)
    except asyncio.CancelledError:
        probe("cancelled", name, call)
        raise
    probe("end", name, call)
    return Echo(text=f"slept {ms}")


@tool(effect="read")
async def slow_read(ms: int, call: ToolCall) -> Echo:
    """Sleep."""
    return await _slow("slow_read", ms, call)


@tool(effect="keyed")
async def slow_keyed(ms: int, call: ToolCall) -> Echo:
    """Sleep."""
    return await _slow("slow_keyed", ms, call)


@tool(effect="once")
async def slow_once(ms: int, call: ToolCall) -> Echo:
    """Sleep."""
    return await _slow("slow_once", ms, call)


@tool(effect="keyed")
def slow_thread(ms: int, call: ToolCall) -> Echo:
    """Sleep in a thread."""
    probe("begin", "slow_thread", call)
    time.sleep(ms / 1000)
    probe("end", "slow_thread", call)
    return Echo(text=f"slept {ms}")


@tool(effect="keyed")
async def stubborn(ms: int, call: ToolCall) -> Echo:
    """Sleep, and ignore being cancelled."""
    until = time.monotonic() + ms / 1000
    probe("begin", "stubborn", call)
    while time.monotonic() < until:
        try:
            await asyncio.sleep(until - time.monotonic())
        except asyncio.CancelledError:
            probe("cancelled", "stubborn", call)
    return Echo(text="at last")


@tool(effect="keyed")
async def fail(code: str, retryable: bool, call: ToolCall) -> Echo:
    """Fail in a way that the tool knows."""
    raise ToolError(code, "as asked", retryable=retryable)


@tool(effect="keyed")
async def crash(how: str) -> Echo:
    """Fail in a way that the tool does not know."""
    if how == "cancelled":
        raise asyncio.CancelledError
    raise ValueError(how)


@tool(effect="read")
def crash_in_thread(how: str) -> Echo:
    """Fail in a thread."""
    if how == "exit":
        raise SystemExit(3)
    raise StopIteration


@tool(effect="keyed")
async def answer(size: int) -> str:
    """Return a long text."""
    return "x" * size


@tool(effect="read")
async def noise(size: int) -> str:
    """Return a text that no compression makes shorter."""
    return os.urandom(size // 2).hex()


@tool(effect="keyed")
async def lie() -> Echo:
    """Return something else than what was promised."""
    return {"text": 7}  # type: ignore[return-value]
