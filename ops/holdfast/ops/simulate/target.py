"""The outside world that tools act on, and the tools: what they do is drawn from the seed, per attempt of a call."""

import asyncio
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from holdfast.ops.simulate.faults import Faults
from holdfast.ops.simulate.loop import OWNER
from holdfast.ops.simulate.processes import Process
from holdfast.schemas.record import Json
from holdfast.tools import ToolCall, ToolError, ToolRegistry, tool
from holdfast.tools.tool import Tool

ACT_S = (0.002, 0.4)
SLOW_S = (3.0, 30.0)
VISIBILITY_LAG_S = 2.0
CODES = ("unavailable", "no_such_thing", "tool_error", "rate_limited")


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that happened out there. `at_s` is when, in virtual seconds."""

    tool: str
    effect: str
    effect_key: str
    attempt: int
    process: str
    at_s: float


@dataclass
class Target:
    """What the outside world remembers: every effect in order, and the first result of each effect key."""

    faults: Faults
    effects: list[Effect] = field(default_factory=list)
    results: dict[str, int] = field(default_factory=dict)
    seen_s: dict[str, float] = field(default_factory=dict)
    watch: Callable[[Effect], None] = lambda _effect: None

    def act(self, name: str, effect: str, call: ToolCall, process: Process, value: int) -> int:
        """Let an effect happen, once per effect key for those that carry one."""
        first = call.effect_key not in self.results
        if first or effect not in ("keyed", "txn"):
            done = Effect(name, effect, call.effect_key, call.attempt, process.name, process.loop.time())
            self.effects.append(done)
            self.seen_s.setdefault(call.effect_key, done.at_s)
            self.watch(done)
        return self.results.setdefault(call.effect_key, value)


TARGET: ContextVar[Target] = ContextVar("target")


def _process() -> Process:
    process = OWNER.get()
    assert isinstance(process, Process)
    return process


async def _perform(name: str, effect: str, call: ToolCall, n: int) -> int:
    target, process = TARGET.get(), _process()
    faults = target.faults
    rng = random.Random(f"{faults.plan.seed}/{call.effect_key}/{call.attempt}")
    await asyncio.sleep(rng.uniform(*ACT_S))
    if faults.happens("tool takes too long"):
        await asyncio.sleep(rng.uniform(*SLOW_S))
    if faults.happens("executor killed before the effect"):
        process.kill("is killed before the effect")
        await asyncio.sleep(0)
    if faults.happens("tool fails"):
        raise ToolError(rng.choice(CODES), "it would not", retryable=rng.random() < 0.7)
    call.raise_if_cancelled()
    result = target.act(name, effect, call, process, n + rng.randint(0, 9))
    if faults.happens("executor killed after the effect"):
        process.kill("is killed after the effect")
    await asyncio.sleep(rng.uniform(*ACT_S))
    if faults.happens("tool leaves its outcome unknown"):
        if rng.random() < 0.5:
            raise ToolError("unavailable", "the line went dead", retryable=rng.random() < 0.5, outcome_unknown=True)
        raise RuntimeError("an accident")
    if faults.happens("tool returns nonsense"):
        return "nonsense"  # type: ignore[return-value]
    return result


async def _search(call: ToolCall) -> int | None:
    target = TARGET.get()
    await asyncio.sleep(0.01)
    if target.faults.happens("lookup fails"):
        raise ToolError("unavailable", "it cannot be searched", retryable=True)
    seen_s = target.seen_s.get(call.effect_key)
    now_s = _process().loop.time()
    return target.results[call.effect_key] if seen_s is not None and now_s > seen_s + VISIBILITY_LAG_S else None


@tool(effect="read", timeout_ms=2_000)
async def look(call: ToolCall, n: int = 0) -> int:
    """Look something up."""
    return await _perform("look", "read", call, n)


@tool(effect="txn", timeout_ms=3_000)
async def book(call: ToolCall, n: int = 0) -> int:
    """Book something in a database of one's own."""
    return await _perform("book", "txn", call, n)


@tool(effect="keyed", timeout_ms=3_000)
async def send(call: ToolCall, n: int = 0) -> int:
    """Send something under its key."""
    return await _perform("send", "keyed", call, n)


@tool(effect="keyed", timeout_ms=15_000, max_attempts=2)
async def ship(call: ToolCall, n: int = 0) -> int:
    """Ship something, which takes a while, so it is claimed first."""
    return await _perform("ship", "keyed", call, n)


@tool(effect="lookup", timeout_ms=4_000, lookup=_search, visibility_lag="3s")
async def file(call: ToolCall, n: int = 0) -> int:
    """File something; whether that was done can be looked up."""
    return await _perform("file", "lookup", call, n)


@tool(effect="lookup", timeout_ms=4_000)
async def post(call: ToolCall, n: int = 0) -> int:
    """Post something of which nobody can find out."""
    return await _perform("post", "lookup", call, n)


@tool(effect="once", timeout_ms=4_000)
async def pay(call: ToolCall, n: int = 0) -> int:
    """Pay something, once."""
    return await _perform("pay", "once", call, n)


TOOLS: tuple[Tool[..., int], ...] = (look, book, send, ship, file, post, pay)  # type: ignore[assignment]
REGISTRY = ToolRegistry(TOOLS)
PINNED: dict[str, Json] = {name: manifest.to_json() for name, manifest in REGISTRY.manifests().items()}
