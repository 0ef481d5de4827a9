"""Branches, items and child workflows as lines of a story. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from holdfast.ops.event_text import brief, moment
from holdfast.ops.timeline_line import Line
from holdfast.ops.timeline_model import Branch, Child, Firings, Items

LISTED_CHILDREN = 3
"""So many items of a kind get a line of their own; `holdfast list --parent` has the others."""

STYLES: Mapping[str, str] = {
    "running": "cyan",
    "waiting": "cyan",
    "completed": "",
    "failed": "red",
    "rejected": "red",
    "blocked": "bold red",
    "cancelled": "yellow",
    "stopped": "yellow",
}
_SAID: Mapping[str, str] = {"stopped": "told to stop", "left": "left to itself"}
_OVER = ("stopped", "left", "completed", "failed", "cancelled")
"""What a workflow that was not heard of yet can be without being under way."""

_WORTH_A_LINE = ("blocked", "failed", "rejected", "paused", "waiting")


def branch_line(branch: Branch) -> Line:
    """A branch; the lines of its steps follow."""
    return Line(
        at_ms=branch.started_at_ms,
        took_ms=None if branch.ended_at_ms is None else branch.ended_at_ms - branch.started_at_ms,
        depth=1,
        what=f"branch {branch.name}",
        detail=_ended(branch.status, branch.error_class, branch.error_message),
        style=STYLES.get(branch.status, "") if branch.status != "running" else "",
    )


def child_lines(child: Child) -> Iterator[Line]:
    """A workflow that a step started."""
    alone = "" if child.awaited else "; not waited for"
    yield replace(_child(child, "child"), detail=f"{child.workflow_id}: {_stands(child)}{alone}")


def items_lines(items: Items) -> Iterator[Line]:
    """How far a map step is, and the items that somebody should look at."""
    unheard = Counter(child.status for child in items.children if not child.heard_of)
    over = {status: unheard.pop(status) for status in _OVER if status in unheard}
    parts = [f"{items.ended} of {items.total} ended"]
    parts += [f"{items.failed} failed"] if items.failed else []
    parts += [f"{unheard.total()} under way{_by_status(unheard)}"] if unheard else []
    parts += [f"{count} {_SAID.get(status, status)}" for status, count in over.items()]
    yield Line(at_ms=None, took_ms=None, depth=1, what="items", detail=", ".join(parts))
    for status in _WORTH_A_LINE:
        yield from _some([child for child in items.children if child.status == status])


def firings_lines(firings: Firings) -> Iterator[Line]:
    """What a schedule did, and the workflows that it started last."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(firings.outcomes.items()))
    last = f"; last {moment(firings.last_at_ms)}" if firings.last_at_ms is not None else ""
    detail = f"{counts}{last}" if counts else "none yet"
    yield Line(at_ms=None, took_ms=None, depth=1, what="firings", detail=detail)
    for child in firings.children[-LISTED_CHILDREN:]:
        yield replace(_child(child, "started"), depth=2, detail=f"{child.workflow_id}: {_stands(child)}")


def _some(children: Sequence[Child]) -> Iterator[Line]:
    for child in children[:LISTED_CHILDREN]:
        yield replace(_child(child, f"item {child.index}"), depth=2, detail=f"{child.workflow_id}: {_stands(child)}")
    if len(children) > LISTED_CHILDREN:
        more = f"{len(children) - LISTED_CHILDREN} more {children[0].status}"
        yield Line(at_ms=None, took_ms=None, depth=2, what="", detail=more, style=STYLES.get(children[0].status, ""))


def _child(child: Child, what: str) -> Line:
    return Line(
        at_ms=child.requested_at_ms,
        took_ms=None if child.ended_at_ms is None else child.ended_at_ms - child.requested_at_ms,
        depth=1,
        what=what,
        detail="",
        style=STYLES.get(child.status, ""),
    )


def _stands(child: Child) -> str:
    said = _ended(_SAID.get(child.status, child.status), child.error_class, child.error_message)
    return f"{said} at {child.at_step}" if child.at_step and not child.heard_of else said


def _ended(status: str, error_class: str, error_message: str) -> str:
    why = ": ".join(filter(None, [error_class, brief(error_message)])) if status in ("failed", "rejected") else ""
    return f"{status}: {why}" if why else status


def _by_status(counts: Mapping[str, int]) -> str:
    """What those under way do, where the tables know."""
    if counts.keys() <= {"running"}:
        return ""
    return f" ({', '.join(f'{count} {status}' for status, count in sorted(counts.items()))})"
