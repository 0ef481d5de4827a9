"""Definitions, drawn from a seed: every kind of step, nested, with retries, catches, limits and compensation."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.ops.simulate.broker import START_MS
from holdfast.ops.simulate.target import PINNED
from holdfast.streams.core.compile import CompiledDefinition, compile_published
from holdfast.streams.core.definition import Definition

OUTPUT = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
TOOL_NAMES = tuple(PINNED)
EVENTS = ("told", "asked")
DEPTH_LIMIT = 2
CONDITIONS = ("input.n > 4", "input.n % 2 == 0", "true", "workflow.id != ''", "vars.k > 3")


@dataclass
class _Draft:
    """One definition under way. `scope` holds the names of the endings of the present scope."""

    rng: random.Random
    children: tuple[CompiledDefinition, ...]
    steps: dict[str, Any] = field(default_factory=dict)
    left: int = 0
    awaited: set[str] = field(default_factory=set)

    def name(self, kind: str) -> str:
        """A new step's name."""
        return f"{kind}{len(self.steps)}"

    def add(self, name: str, step: Mapping[str, Any]) -> str:
        """Put a step in its place."""
        self.steps[name] = dict(step)
        return name

    def seconds(self, low: float, high: float) -> str:
        """A duration."""
        return f"{int(self.rng.uniform(low, high) * 1000)}ms"

    def often(self, share: float) -> bool:
        """True that often."""
        return self.rng.random() < share


def library(seed: int, size: int) -> list[CompiledDefinition]:
    """The definitions of a run, the first one last: those before it may be its children."""
    rng = random.Random(f"{seed}/definitions")
    made: list[CompiledDefinition] = []
    for number in range(rng.choice((1, 2, 2, 3))):
        last = compile_published(_definition(rng, f"shape-{number}", size, tuple(made)))
        made.append(last)
    return made


def _definition(rng: random.Random, name: str, size: int, children: tuple[CompiledDefinition, ...]) -> Definition:
    draft = _Draft(rng, children, left=size)
    draft.steps["done"] = {"kind": "succeed", "output": {"n": "${input.n}"}}
    start = _chain(draft, "done", "", rng.randint(max(1, size // 2), size), 0)
    events = {}
    for event_type in sorted(draft.awaited):
        if draft.often(0.5):
            events[event_type] = {"keep": False} if draft.often(0.3) else {"ttl": draft.seconds(1, 60)}
    return Definition.model_validate(
        {
            "name": name,
            "deadline": draft.seconds(40, 240),
            "on_deadline": rng.choice(("fail", "compensate", "compensate", "escalate")),
            "idle_timeout": rng.choice(("0ms", draft.seconds(15, 60))),
            "on_idle": rng.choice(("fail", "compensate", "escalate")),
            "settle": draft.seconds(1, 20),
            "max_steps": 60,
            "budget": {limit: rng.randint(2, 12) for limit in ("model_calls", "tool_calls") if draft.often(0.25)},
            "start": start,
            "steps": draft.steps,
            "events": events,
            "tools": {name: PINNED[name] for name in TOOL_NAMES},
            "children": {child.definition.name: child.hash for child in children},
        }
    )


def _chain(draft: _Draft, following: str, failing: str, length: int, depth: int) -> str:
    """Steps one after the other, the last leading to `following`; the name of the first."""
    for _ in range(length):
        if draft.left <= 0:
            break
        draft.left -= 1
        kinds = [kind for kind, low in _KINDS if depth < DEPTH_LIMIT or low]
        following = draft.rng.choice(kinds)(draft, following, failing, depth)
    return following


def _sad(draft: _Draft, failing: str) -> str:
    """An ending for what went wrong, one for each scope that asks for it."""
    return draft.add(failing or draft.name("sorry"), {"kind": "fail", "error": "gave_up"})


def _working(draft: _Draft, following: str, low: float, high: float) -> dict[str, Any]:
    step: dict[str, Any] = {"next": following, "timeout": draft.seconds(low, high)}
    if draft.often(0.35):
        step["catch"] = {draft.rng.choice(("*", "*", "timeout", "unavailable")): following}
    return step


def _retry(draft: _Draft) -> dict[str, Any]:
    retry: dict[str, Any] = {
        "max_attempts": draft.rng.randint(1, 4),
        "initial": draft.seconds(0.1, 2),
        "maximum": draft.seconds(1, 5),
        "exhausted": "block" if draft.often(0.15) else "fail",
    }
    if draft.often(0.2):
        retry["max_elapsed"] = draft.seconds(1, 10)
    if draft.often(0.2):
        retry["per_error"] = {"rate_limited": {"max_attempts": 5, "initial": "1s"}}
    return retry


def _tool(draft: _Draft, following: str, _failing: str, _depth: int) -> str:
    rng, name = draft.rng, draft.name("tool")
    step: dict[str, Any] = {
        "kind": "tool",
        "tool": rng.choice(TOOL_NAMES),
        "arguments": {"n": rng.choice(("${input.n}", rng.randint(0, 9)))},
        "retry": _retry(draft),
        **_working(draft, following, 3, 60),
    }
    if draft.often(0.4):
        compensate: dict[str, Any] = {
            "tool": rng.choice(TOOL_NAMES[1:]),
            "arguments": {"n": f"${{steps.{name}.output}}"},
            "retry": _retry(draft),
            "timeout": draft.seconds(5, 60),
        }
        if draft.often(0.25):
            compensate["roles"] = ["lead"]
        step["compensate"] = compensate
    if draft.often(0.15):
        step["check"] = [f"steps.{name}.output >= {rng.randint(0, 12)}"]
    return draft.add(name, step)


def _approved(draft: _Draft, following: str, failing: str, depth: int) -> str:
    first = _tool(draft, following, failing, depth)
    step = draft.steps[first]
    name = draft.name("ask")
    step["approved_by"] = name
    return draft.add(
        name,
        {
            "kind": "approval",
            "tool": step["tool"],
            "arguments": step["arguments"],
            "roles": ["lead"],
            **_working(draft, first, 2, 40),
            "catch": {"*": following} if draft.often(0.7) else {},
        },
    )


def _agent(draft: _Draft, following: str, _failing: str, _depth: int) -> str:
    tools = draft.rng.sample(TOOL_NAMES, draft.rng.randint(0, 3))
    return draft.add(
        draft.name("agent"),
        {
            "kind": "agent",
            "instructions": "Count.",
            "prompt": "${input}",
            "tools": tools,
            "output": OUTPUT,
            "max_turns": draft.rng.randint(1, 4),
            "max_repairs": draft.rng.randint(0, 2),
            "call_timeout": draft.seconds(3, 30),
            "retry": _retry(draft),
            **_working(draft, following, 10, 90),
        },
    )


def _wait(draft: _Draft, following: str, _failing: str, _depth: int) -> str:
    rng = draft.rng
    values = ("", "${workflow.id}", "shared")
    if draft.often(0.3):
        what: dict[str, Any] = {"events": [{"event": event, "correlation": rng.choice(values)} for event in EVENTS]}
        draft.awaited.update(EVENTS)
    else:
        what = {"event": rng.choice(EVENTS), "correlation": rng.choice(values)}
        draft.awaited.add(what["event"])
    step = {"kind": "wait", **what, **_working(draft, following, 2, 40)}
    if draft.often(0.6):
        step["catch"] = {"timeout": following}
    return draft.add(draft.name("wait"), step)


def _sleep(draft: _Draft, following: str, _failing: str, _depth: int) -> str:
    step: dict[str, Any] = {"kind": "sleep", "next": following}
    if draft.often(0.8):
        step["for"] = draft.seconds(0.1, 20)
    else:
        step["until"] = str(START_MS + draft.rng.randint(0, 60_000))
    return draft.add(draft.name("sleep"), step)


def _assign(draft: _Draft, following: str, _failing: str, _depth: int) -> str:
    value = draft.rng.choice(("${input.n}", draft.rng.randint(0, 9)))
    return draft.add(draft.name("assign"), {"kind": "assign", "set": {"k": value}, "next": following})


def _choice(draft: _Draft, following: str, failing: str, depth: int) -> str:
    rng = draft.rng
    branches = [
        {"when": rng.choice(CONDITIONS), "next": _chain(draft, following, failing, rng.randint(0, 2), depth + 1)}
        for _ in range(rng.randint(1, 2))
    ]
    default = _chain(draft, following, failing, rng.randint(0, 1), depth + 1)
    return draft.add(draft.name("choice"), {"kind": "choice", "branches": branches, "default": default})


def _loop(draft: _Draft, following: str, failing: str, depth: int) -> str:
    """A few steps that may be gone through again; `max_steps` ends it."""
    choice = draft.name("again")
    draft.steps[choice] = {}
    body = _chain(draft, choice, failing, draft.rng.randint(1, 2), depth + 1)
    if body == choice:
        body = _sleep(draft, choice, failing, depth)
    branches = [{"when": draft.rng.choice(CONDITIONS), "next": following}]
    return draft.add(choice, {"kind": "choice", "branches": branches, "default": body})


def _scope(draft: _Draft, depth: int) -> str:
    """A branch, or what is done with an item: steps with endings of their own."""
    end = draft.add(draft.name("end"), {"kind": "succeed", "output": {"n": 1}})
    if draft.often(0.2):
        end = draft.add(draft.name("sorry"), {"kind": "fail", "error": "gave_up"})
    return _chain(draft, end, "", draft.rng.randint(0, 3), depth + 1)


def _parallel(draft: _Draft, following: str, _failing: str, depth: int) -> str:
    rng, name = draft.rng, draft.name("both")
    draft.steps[name] = {}
    branches: dict[str, Any] = {}
    for letter in "abc"[: rng.randint(1, 3)]:
        branch: dict[str, Any] = {"start": _scope(draft, depth)}
        if draft.often(0.2):
            branch["when"] = rng.choice(CONDITIONS[:4])
        branches[letter] = branch
    return draft.add(
        name,
        {
            "kind": "parallel",
            "branches": branches,
            "join": rng.choice(("all", "any", 1, 2)),
            "on_failure": rng.choice(("fail_fast", "wait_all", "ignore")),
            **_working(draft, following, 5, 90),
        },
    )


def _map(draft: _Draft, following: str, _failing: str, depth: int) -> str:
    rng, name = draft.rng, draft.name("each")
    draft.steps[name] = {}
    first = _scope(draft, depth)
    return draft.add(
        name,
        {
            "kind": "map",
            "items": [rng.randint(0, 9) for _ in range(rng.randint(0, 3))],
            "do": first,
            "concurrency": rng.randint(1, 2),
            "max_failures": rng.choice((0, 0, 1)),
            "on_failure": rng.choice(("fail_fast", "wait_all", "ignore")),
            **_working(draft, following, 5, 90),
        },
    )


def _child(draft: _Draft, following: str, failing: str, depth: int) -> str:
    if not draft.children:
        return _sleep(draft, following, failing, depth)
    return draft.add(
        draft.name("child"),
        {
            "kind": "child",
            "definition": draft.rng.choice(draft.children).definition.name,
            "input": {"n": draft.rng.randint(0, 9)},
            "wait": draft.often(0.75),
            "on_parent_end": draft.rng.choice(("cancel", "leave")),
            **_working(draft, following, 5, 90),
        },
    )


def _schedule(draft: _Draft, following: str, failing: str, depth: int) -> str:
    if not draft.children or draft.often(0.5):
        return _wait(draft, following, failing, depth)
    rng = draft.rng
    timing = {
        "every": draft.seconds(4, 10),
        "start": START_MS,
        "end": START_MS + rng.randint(20_000, 45_000),
        "overlap": rng.choice(("skip", "buffer_one", "allow", "cancel_old")),
        "catch_up_window": draft.seconds(10, 30),
        "jitter": draft.seconds(0, 2),
    }
    return draft.add(
        draft.name("plan"),
        {
            "kind": "schedule",
            "timing": timing,
            "definition": rng.choice(draft.children).definition.name,
            "input": {"n": 1},
            "next": following,
        },
    )


_Block = Callable[[_Draft, str, str, int], str]
_KINDS: tuple[tuple[_Block, bool], ...] = (
    *((_tool, True),) * 6,
    *((_agent, True),) * 3,
    (_approved, True),
    *((_wait, True),) * 2,
    (_sleep, True),
    (_assign, True),
    (_choice, False),
    (_loop, False),
    *((_parallel, False),) * 2,
    (_map, False),
    *((_child, True),) * 2,
    (_schedule, True),
)
