"""A published definition as text for a terminal. Pure."""

from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.ops.event_text import brief, duration, moment, safe, short_hash
from holdfast.ops.published import Published
from holdfast.ops.schedule_text import timing_words
from holdfast.streams.core.schedule import Timing

PURPOSE_LIMIT = 90
INDENT = "  "


def render(published: Published) -> RenderableType:
    """Header, steps in the order in which they are met, and what is pinned: tools, and definitions that it starts."""
    body: Any = published.body
    head = Text.assemble((published.name, "bold"), f"  {'newest' if published.newest else 'older version'}")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    facts = {
        "hash": published.hash,
        "published": f"{moment(published.published_at_ms)} by {published.published_by}",
        "purpose": body.get("purpose", ""),
        "deadline": duration(body["deadline"]),
        "input": brief(body.get("input", {}), 400),
        "starts with": body["start"],
    }
    for name, value in facts.items():
        grid.add_row(name, Text(safe(value)))
    steps = _table(("step", "kind", "does", "leads to"), _steps(body))
    tools = _table(("tool", "effect", "timeout", "attempts"), _tools(body))
    children = _table(("starts", "version"), ((name, short_hash(hash_)) for name, hash_ in published.children.items()))
    parts: list[RenderableType] = [head, grid, "", steps]
    parts += ["", tools] if body.get("tools") else []
    parts += ["", children] if published.children else []
    return Group(*parts)


def _table(names: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for _ in names[:2]:
        grid.add_column(no_wrap=True)
    for _ in names[2:]:
        grid.add_column(overflow="fold")
    grid.add_row(*[Text(name, "dim") for name in names])
    for row in rows:
        grid.add_row(*[Text(safe(cell)) for cell in row])
    return grid


def _steps(body: Any) -> Iterator[tuple[str, ...]]:
    for name, depth, end in _order(body, body["start"], 0, "the end", set()):
        step = body["steps"][name]
        yield INDENT * depth + name, step["kind"], _does(step), ", ".join(_exits(step)) or end


def _order(body: Any, start: str, depth: int, end: str, met: set[str]) -> Iterator[tuple[str, int, str]]:
    """The steps as a workflow meets them, those of a branch or an item below its step, and what their end ends.

    The canonical form, which is what is published, has them by name.
    """
    ahead = [start]
    while ahead:
        name = ahead.pop(0)
        if name in met:
            continue
        met.add(name)
        yield name, depth, end
        step = body["steps"][name]
        for first, inner_end in _inside(step):
            yield from _order(body, first, depth + 1, inner_end, met)
        ahead += (way.rpartition(" ")[2] for way in _exits(step))


def _inside(step: Any) -> Iterator[tuple[str, str]]:
    """The first step of each branch and of an item, and what ends with them."""
    if step["kind"] == "parallel":
        yield from ((branch["start"], f"the end of {name}") for name, branch in step["branches"].items())
    elif step["kind"] == "map":
        yield step["do"], "the end of the item"


def _does(step: Any) -> str:
    told: dict[str, Callable[[], str]] = {
        "agent": lambda: f"model {step['model']}" + (f" with {', '.join(step['tools'])}" if step["tools"] else ""),
        "tool": lambda: step["tool"] + (f", approved by {step['approved_by']}" if step["approved_by"] else ""),
        "approval": lambda: f"asks {' or '.join(step['roles'])} about {step['tool']}, {duration(step['timeout'])}",
        "wait": lambda: f"{_awaited(step)}, {duration(step['timeout'])}",
        "sleep": lambda: _sleep(step),
        "choice": lambda: "; ".join(branch["when"] for branch in step["branches"]),
        "parallel": lambda: f"{', '.join(step['branches'])}: {step['join']} of them, {step['on_failure']}",
        "map": lambda: f"each of {brief(step['items'])} from {step['do']} on, {step['concurrency']} at a time",
        "schedule": lambda: f"{step['definition']} {_timing(step['timing'])}",
        "child": lambda: step["definition"] + ("" if step["wait"] else ", not waited for"),
        "assign": lambda: ", ".join(step["set"]),
        "succeed": lambda: brief(step["output"]),
        "fail": lambda: f"{step['error']}: {step['message']}",
    }
    return brief(told[step["kind"]]() if step["kind"] in told else step.get("purpose", ""), PURPOSE_LIMIT)


def _sleep(step: Any) -> str:
    parts = [
        duration(step["for"]) if step["for"] is not None else "",
        f"until {step['until']}" if step["until"] is not None else "",
        f"within {step['within']}" if step["within"] is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _timing(timing: Any) -> str:
    return f"{timing_words(Timing.model_validate(timing))}, {timing['overlap']}"


def _awaited(step: Any) -> str:
    several = step.get("events") or [{"event": step["event"], "correlation": step["correlation"]}]
    return " or ".join(f"{one['event']} for {one['correlation'] or 'anybody'}" for one in several)


def _exits(step: Any) -> Iterator[str]:
    if step["kind"] == "choice":
        yield from (branch["next"] for branch in step["branches"])
        yield f"else {step['default']}"
    elif "next" in step:
        yield step["next"]
        yield from (f"{error}: {target}" for error, target in step.get("catch", {}).items())


def _tools(body: Any) -> Iterator[tuple[str, ...]]:
    for name, tool in body["tools"].items():
        yield name, tool["effect"], duration(tool["timeout_ms"]), str(tool["max_attempts"])
