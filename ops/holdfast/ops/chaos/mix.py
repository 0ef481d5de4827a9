"""What runs: workflows of a generated mix. Everything is drawn from a seed, so a run can be made again."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.ops.chaos.tools import chaos_apply, chaos_apply_claimed, chaos_look
from holdfast.streams.core.definition import Definition

FEWEST_STEPS, MOST_STEPS = 4, 10
SHAPES = 16
WORKFLOWS_PER_AGENT = 30
"""A few percent of the workflows have an agent: it makes several model calls."""
EVENT = "chaos.happened"
CHILD = "chaos-child"
ITEMS = 3
KEYED_TOOLS = frozenset({"chaos_apply", "chaos_apply_claimed"})
# Long: a run ends because its workflows do, not because they give up.
RETRY = {"max_attempts": 100, "initial": "200ms", "maximum": "2s"}
PATIENCE = "30m"

Steps = dict[str, Any]
Rng = random.Random


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One workflow to run, by the definition `shape`.

    `waits` are its wait steps; those in `early` get their event before anybody waits for it, those in `doubled` get
    it twice. `answer_s` is how long whoever is asked for an event or an approval takes.
    """

    workflow_id: str
    shape: str
    input: Mapping[str, Any]
    early: frozenset[str] = frozenset()
    doubled: frozenset[str] = frozenset()
    answer_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Mix:
    """The definitions and the workflows of a run."""

    definitions: Sequence[Definition]
    visits: Sequence[Visit] = field(default=())


def generate(seed: int, workflows: int) -> Mix:
    """A mix of so many workflows; the same for the same arguments."""
    rng = random.Random(f"mix {seed}")
    shapes = [_shape(rng, f"chaos-{number}", with_agent=False) for number in range(SHAPES)]
    agent = _shape(rng, "chaos-agent", with_agent=True)
    child = _child_definition()
    visits = []
    for number in range(workflows):
        shape = agent if number % WORKFLOWS_PER_AGENT == 0 else rng.choice(shapes)
        visits.append(_visit(rng, f"w-{number:05}", shape))
    return Mix(definitions=(child, *shapes, agent), visits=visits)


def _visit(rng: Rng, workflow_id: str, shape: Definition) -> Visit:
    waits = [name for name, step in shape.steps.items() if step.kind == "wait"]
    return Visit(
        workflow_id=workflow_id,
        shape=shape.name,
        input={
            "ref": workflow_id,
            "odd": rng.random() < 0.5,
            "delay_ms": rng.choice((0, 0, 20, 100, 600)),
            "mood": rng.choice(("calm", "calm", "slow", "faulty")),
        },
        early=frozenset(name for name in waits if rng.random() < 0.3),
        doubled=frozenset(name for name in waits if rng.random() < 0.3),
        answer_s=rng.choice((0.0, 0.0, 0.2, 1.0)),
    )


def _shape(rng: Rng, name: str, *, with_agent: bool) -> Definition:
    count = rng.randint(FEWEST_STEPS, MOST_STEPS)
    kinds = rng.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()), k=count)
    if with_agent:
        kinds[count // 2] = "agent"
    names = [f"s{number}_{kind}" for number, kind in enumerate(kinds)]
    steps: Steps = {}
    for kind, step, following in zip(kinds, names, [*names[1:], "done"], strict=True):
        steps |= _MAKERS[kind](rng, step, following)
    steps["done"] = {"kind": "succeed"}
    return _definition(name, names[0], steps, {CHILD: _child_definition().hash})


def _child_definition() -> Definition:
    """What `child` steps start: it reads, and then does one thing."""
    apply = _keyed(random.Random(), "apply", "done")
    return _definition(CHILD, "look", {**_read(random.Random(), "look", "apply"), **apply, "done": {"kind": "succeed"}})


def _definition(name: str, start: str, steps: Steps, children: Mapping[str, str] | None = None) -> Definition:
    tools = {tool.manifest.name: tool.manifest.to_json() for tool in (chaos_look, chaos_apply, chaos_apply_claimed)}
    return Definition.model_validate(
        {
            "name": name,
            "deadline": "1d",
            "start": start,
            "steps": steps,
            "tools": tools,
            "children": {child: pinned for child, pinned in (children or {}).items() if _starts(steps, child)},
        }
    )


def _starts(steps: Steps, child: str) -> bool:
    return any(step.get("definition") == child for step in steps.values())


def _arguments(name: str) -> dict[str, str]:
    # Unique in the whole run: the outside system can tell a doubled effect even if it came under two keys.
    return {"ref": f"${{input.ref}}/{name}", "delay_ms": "${input.delay_ms}"}


def _tool(tool: str, arguments: dict[str, str], following: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "tool",
        "tool": tool,
        "arguments": arguments,
        "timeout": PATIENCE,
        "retry": RETRY,
        "next": following,
        **more,
    }


def _read(_rng: Rng, name: str, following: str) -> Steps:
    return {name: _tool("chaos_look", {}, following)}


def _keyed(_rng: Rng, name: str, following: str) -> Steps:
    return {name: _tool("chaos_apply", _arguments(name), following)}


def _claimed(_rng: Rng, name: str, following: str) -> Steps:
    return {name: _tool("chaos_apply_claimed", _arguments(name), following)}


def _wait(_rng: Rng, name: str, following: str) -> Steps:
    wait = {"kind": "wait", "event": EVENT, "correlation": name, "timeout": PATIENCE, "next": following}
    return {name: wait}


def _approval(_rng: Rng, name: str, following: str) -> Steps:
    act = f"{name}_act"
    arguments = _arguments(act)
    ask = {"kind": "approval", "tool": "chaos_apply", "arguments": arguments, "roles": ["anybody"], "next": act}
    return {
        name: {**ask, "timeout": PATIENCE},
        act: _tool("chaos_apply", arguments, following, approved_by=name),
    }


def _sleep(rng: Rng, name: str, following: str) -> Steps:
    return {name: {"kind": "sleep", "for": rng.choice((10, 200, 1_000, 3_000)), "next": following}}


def _choice(_rng: Rng, name: str, following: str) -> Steps:
    detour = f"{name}_detour"
    return {
        name: {"kind": "choice", "branches": [{"when": "input.odd == true", "next": detour}], "default": following},
        detour: _tool("chaos_apply", _arguments(detour), following),
    }


def _parallel(_rng: Rng, name: str, following: str) -> Steps:
    applies, rests = f"{name}_applies", f"{name}_rests"
    return {
        name: {
            "kind": "parallel",
            "branches": {"applies": applies, "rests": rests},
            "timeout": PATIENCE,
            "next": following,
        },
        applies: _tool("chaos_apply", _arguments(applies), f"{applies}_end"),
        f"{applies}_end": {"kind": "succeed"},
        rests: {"kind": "sleep", "for": 200, "next": f"{rests}_end"},
        f"{rests}_end": {"kind": "succeed"},
    }


def _map(_rng: Rng, name: str, following: str) -> Steps:
    each = f"{name}_each"
    arguments = {"ref": f"${{input.shared.ref}}/{each}/${{input.index}}", "delay_ms": "${input.shared.delay_ms}"}
    return {
        name: {
            "kind": "map",
            "items": list(range(ITEMS)),
            "shared": {"ref": "${input.ref}", "delay_ms": "${input.delay_ms}"},
            "do": each,
            "concurrency": 2,
            "timeout": PATIENCE,
            "next": following,
        },
        each: _tool("chaos_apply", arguments, f"{each}_end"),
        f"{each}_end": {"kind": "succeed"},
    }


def _child(_rng: Rng, name: str, following: str) -> Steps:
    child = {"kind": "child", "definition": CHILD, "input": _arguments(name), "timeout": PATIENCE, "next": following}
    return {name: child}


def _agent(_rng: Rng, name: str, following: str) -> Steps:
    return {
        name: {
            "kind": "agent",
            "instructions": "Do what is asked for, once, then end.",
            "prompt": {**_arguments(name), "mood": "${input.mood}"},
            "tools": ["chaos_apply"],
            "timeout": PATIENCE,
            "retry": RETRY,
            "next": following,
        }
    }


_MAKERS: Mapping[str, Callable[[Rng, str, str], Steps]] = {
    "read": _read,
    "keyed": _keyed,
    "claimed": _claimed,
    "wait": _wait,
    "approval": _approval,
    "sleep": _sleep,
    "choice": _choice,
    "parallel": _parallel,
    "map": _map,
    "child": _child,
    "agent": _agent,
}
# How often each kind of step is drawn; an agent's place is set, not drawn.
_WEIGHTS: Mapping[str, int] = {
    "read": 5,
    "keyed": 6,
    "claimed": 2,
    "wait": 3,
    "approval": 2,
    "sleep": 2,
    "choice": 2,
    "parallel": 2,
    "map": 1,
    "child": 2,
}
