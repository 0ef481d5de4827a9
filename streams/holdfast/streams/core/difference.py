"""What two definitions differ in, and what each difference means to workflows that run by one and move to the other.

A workflow that is not moved keeps its definition: to it no difference means anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from holdfast.schemas.record import Json
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.graph import Path, exits, scopes

Change = Literal["added", "removed", "changed"]


class Reach(StrEnum):
    """How far a difference reaches into workflows that are moved."""

    NOBODY = "nobody"
    """Nothing goes by it."""
    STARTS = "starts"
    """Workflows that start by the new version; what runs has taken it from the old one."""
    VISITS = "visits"
    """Steps that are entered after the move."""
    UNDER_WAY = "under_way"
    """Steps and calls that are under way as well."""
    OBSTACLE = "obstacle"
    """A workflow that is just there may not be movable."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference. `path` is where it stands in the definition's body, without the step for what belongs to one.

    `step` is empty for what belongs to none; an empty `path` means the whole step. `is_exit` is true for where a step
    leads to. `old` or `new` is None where there is none.
    """

    step: str
    path: Path
    change: Change
    old: Json
    new: Json
    reach: Reach
    is_exit: bool = False


def differences(old: Definition, new: Definition) -> tuple[Difference, ...]:
    """Everything that two definitions differ in: the whole first, then step by step in the order of their names."""
    before: Any = old.body()
    after: Any = new.body()
    return (*_of_the_whole(before, after), *_of_steps(old, new, before["steps"], after["steps"]))


_WHOLE: Mapping[str, Reach] = {
    "purpose": Reach.NOBODY,
    "input": Reach.OBSTACLE,
    "deadline": Reach.STARTS,
    "idle_timeout": Reach.STARTS,
    "budget": Reach.STARTS,
    "start": Reach.STARTS,
    "children": Reach.VISITS,
}
"""Everything else of a definition is looked up when it is needed."""

_NEVER_UNDER_WAY = frozenset({"choice", "assign", "succeed", "fail"})
_READ_ON_ENTRY: Mapping[str, frozenset[str]] = {
    "agent": frozenset({"instructions", "prompt", "timeout"}),
    "tool": frozenset({"tool", "arguments", "approved_by", "timeout"}),
    "approval": frozenset({"tool", "arguments", "roles", "summary", "timeout"}),
    "wait": frozenset({"event", "correlation", "timeout"}),
    "sleep": frozenset({"for", "until", "within"}),
    "parallel": frozenset({"timeout"}),
    "map": frozenset({"items", "shared", "max_items", "timeout"}),
    "child": frozenset({"definition", "input", "wait", "on_parent_end", "timeout", "budget"}),
}
"""Fields by step kind that a step goes by only when it is entered; the rest is looked up as long as it is under way."""


def _of_the_whole(before: Any, after: Any) -> Iterator[Difference]:
    old = {name: value for name, value in before.items() if name != "steps"}
    new = {name: value for name, value in after.items() if name != "steps"}
    for path, change, was, is_ in _leaves(old, new, ()):
        reach = _reach_of_tool(path, change) if path[0] == "tools" else _WHOLE.get(str(path[0]), Reach.UNDER_WAY)
        yield Difference(step="", path=path, change=change, old=was, new=is_, reach=reach)


def _reach_of_tool(path: Path, change: Change) -> Reach:
    if len(path) == 2:  # the whole manifest: what is being called must not go
        return Reach.OBSTACLE if change == "removed" else Reach.VISITS
    return Reach.OBSTACLE if path[2] == "effect" else Reach.UNDER_WAY


def _of_steps(old: Definition, new: Definition, before: Any, after: Any) -> Iterator[Difference]:
    places, new_places = _places(old), _places(new)
    items_begin_at = {step["do"] for step in before.values() if step["kind"] == "map"}
    for name in sorted({**before, **after}):
        was, is_ = before.get(name), after.get(name)
        if is_ is None or was is None or was["kind"] != is_["kind"]:
            ends_something = was is not None and (was["kind"] not in _NEVER_UNDER_WAY or name in items_begin_at)
            change: Change = "added" if was is None else "removed" if is_ is None else "changed"
            reach = Reach.OBSTACLE if ends_something else Reach.VISITS
            yield Difference(step=name, path=(), change=change, old=was, new=is_, reach=reach)
            continue
        if (place := places.get(name)) != (new_place := new_places.get(name)):
            reach = Reach.VISITS if was["kind"] in _NEVER_UNDER_WAY else Reach.OBSTACLE
            yield Difference(step=name, path=("place",), change="changed", old=place, new=new_place, reach=reach)
        leads = {exit_.path for definition in (old, new) for exit_ in exits(definition.steps[name])}
        for path, change, value, new_value in _leaves(was, is_, ()):
            yield Difference(
                step=name,
                path=path,
                change=change,
                old=value,
                new=new_value,
                reach=_reach_in_step(was["kind"], path, change),
                is_exit=path in leads,
            )


def _places(definition: Definition) -> dict[str, str]:
    """The branch or item that each step belongs to, empty at the top."""
    return {
        name: f"{scope.opened_by}/{scope.branch}".rstrip("/") for scope in scopes(definition) for name in scope.steps
    }


def _reach_in_step(kind: str, path: Path, change: Change) -> Reach:
    field = path[0]
    if field == "purpose":
        return Reach.NOBODY
    if kind in _NEVER_UNDER_WAY or field in _READ_ON_ENTRY.get(kind, ()):
        return Reach.VISITS
    if kind == "parallel" and field == "branches":
        return Reach.OBSTACLE if len(path) == 2 and change == "removed" else Reach.VISITS
    if field == "compensate":
        return _reach_of_undoing(path, change)
    return Reach.UNDER_WAY


def _reach_of_undoing(path: Path, change: Change) -> Reach:
    """Who has done something keeps the right to have it undone as it was promised."""
    if len(path) == 1:
        return Reach.VISITS if change == "added" else Reach.OBSTACLE
    return Reach.OBSTACLE if path[1] == "tool" else Reach.UNDER_WAY


def _leaves(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Change, Json, Json]]:
    """Where two values differ, as deep as both have the same form."""
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list) and all(isinstance(one, dict) for one in (*old, *new)):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if not (isinstance(old, dict) and isinstance(new, dict)):
        yield path, _change(old, new), old, new
        return
    for key in {**old, **new}:
        if key not in old:
            yield (*path, key), "added", None, new[key]
        elif key not in new:
            yield (*path, key), "removed", old[key], None
        else:
            yield from _leaves(old[key], new[key], (*path, key))


def _change(old: Json, new: Json) -> Change:
    """What is null in a body is not there."""
    if old is None:
        return "added"
    return "removed" if new is None else "changed"
