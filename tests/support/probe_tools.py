"""Tools that write down what they do, so that a test can compare what happened with what was reported.

Each line of the file named by PROBE_FILE: what (begin, effect, end, cancelled, lookup), tool, effect key, attempt,
process id.
"""

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from holdfast.tools import Found, NotFound, ToolCall, ToolError, tool


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


@tool(effect="keyed")
def patient(ms: int, call: ToolCall) -> Echo:
    """Wait in a thread for the time to act, and give up if nobody waits for it by then."""
    probe("begin", "patient", call)
    until = time.monotonic() + ms / 1000
    while time.monotonic() < until:
        time.sleep(0.02)
        if call.cancelled:
            probe("cancelled", "patient", call)
        call.raise_if_cancelled()
    probe("effect", "patient", call)
    return Echo(text="done")


def posted(text: str, call: ToolCall) -> Found[Echo] | NotFound:
    """The letter, if it stands in the file."""
    probe("lookup", "post", call)
    effects = [line.split() for line in Path(os.environ["PROBE_FILE"]).read_text().splitlines()]
    if any((what, key) == ("effect", call.effect_key) for what, _, key, *_ in effects):
        return Found(Echo(text=text), evidence=f"{call.effect_key} stands in the file")
    return NotFound(evidence="the file has no such letter")


@tool(effect="lookup", lookup=posted, visibility_lag="500ms", timeout_ms=20_000)
async def post(text: str, before_ms: int, after_ms: int, call: ToolCall) -> Echo:
    """Post a letter, after a while, and go on for a while. Only the first attempt takes its time."""
    probe("begin", "post", call)
    await asyncio.sleep(before_ms / 1000 if call.attempt == 1 else 0)
    probe("effect", "post", call)
    await asyncio.sleep(after_ms / 1000 if call.attempt == 1 else 0)
    return Echo(text=text)


async def odd_trace(how: str) -> Echo | None:
    """Find nothing, or fail, or take too long, or find something that is no result."""
    if how == "boom":
        raise ValueError(how)
    if how == "slow":
        await asyncio.sleep(60)
    if how == "known":
        raise ToolError("no_entry", "as asked", retryable=False)
    return {"text": 7} if how == "lie" else None  # type: ignore[return-value]


@tool(effect="keyed", lookup=odd_trace)
async def odd(how: str, more: int = 0) -> Echo:
    """Do nothing: only its lookup matters."""
    return Echo(text=how)


@tool(effect="keyed")
async def undo(what: str, call: ToolCall) -> Echo:
    """Undo what another tool did."""
    probe("effect", "undo", call)
    return Echo(text=f"undone: {what}")
