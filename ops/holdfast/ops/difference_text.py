"""Differences between two definitions as rows and as text for a terminal. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.ops.event_text import brief, duration, short_hash
from holdfast.schemas.record import Json
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.difference import Difference, Reach
from holdfast.streams.core.graph import Path

VALUE_LIMIT = 60
_REACHES: Mapping[Reach, str] = {
    Reach.NOBODY: "nothing goes by it",
    Reach.STARTS: "only what starts from now on",
    Reach.VISITS: "moved workflows, when they enter the step",
    Reach.UNDER_WAY: "moved workflows, also what is under way",
    Reach.OBSTACLE: "may keep workflows that are there from moving",
}
_DURATIONS = frozenset(
    {
        *("deadline", "idle_timeout", "settle", "timeout", "timeout_ms", "call_timeout", "for", "ttl"),
        *("initial", "maximum", "max_elapsed", "visibility_lag_ms"),
    }
)
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def difference_rows(found: Iterable[Difference]) -> list[dict[str, Any]]:
    """Differences as commands print them with --json."""
    return [
        {
            "step": one.step,
            "path": ".".join(map(str, one.path)),
            "exit": one.is_exit,
            "change": one.change,
            "old": one.old,
            "new": one.new,
            "reach": one.reach.value,
            "reach_text": _REACHES[one.reach],
        }
        for one in found
    ]


def render(old: Definition, new: Definition, rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """A heading, then what differs by step, with the old and the new value and whom it reaches."""
    heading = Text.assemble((_version(old), "bold"), "  ->  ", (_version(new), "bold"))
    if not rows:
        return Group(heading, Text("they say the same"))
    parts: list[RenderableType] = [heading]
    for step, group in groupby(rows, key=lambda row: row["step"]):
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_column(overflow="fold", style="dim")
        for row in group:
            grid.add_row(f"  {_SIGNS[row['change']]} {_place(row)}", Text(_values(row)), row["reach_text"])
        parts += ["", Text(f"step {step}" if step else "the whole", "bold"), grid]
    return Group(*parts)


def _version(definition: Definition) -> str:
    return f"{definition.name} @ {short_hash(definition.hash)}"


def _place(row: Mapping[str, Any]) -> str:
    if not row["path"]:
        return "the step"
    return f"exit {row['path']}" if row["exit"] else str(row["path"])


def _values(row: Mapping[str, Any]) -> str:
    path: Path = tuple(str(row["path"]).split("."))
    kinds = [one["kind"] for one in (row["old"], row["new"]) if not row["path"] and one is not None]
    if kinds:
        return " -> ".join(kinds)
    told = [_told(path, row[side]) for side in ("old", "new")]
    return {"added": told[1], "removed": told[0], "changed": " -> ".join(told)}[row["change"]]


def _told(path: Path, value: Json) -> str:
    if path[-1] in _DURATIONS and isinstance(value, int) and not isinstance(value, bool):
        return duration(value)
    return brief(value, VALUE_LIMIT) if value != "" else '""'
