"""What a run did with its definition, as its story tells: steps, ways, branches and items."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.ops.event_text import brief, moment
from holdfast.ops.graph.diagram import Tone
from holdfast.ops.matters import Matter, matters
from holdfast.ops.timeline import COMPENSATION
from holdfast.ops.timeline_model import Branch, Child, Firings, Items, Timeline, Visit
from holdfast.streams.core import graph
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.graph import ScopeNode

STATE_LIMIT = 36

_TONES = {
    "completed": Tone.DONE,
    "failed": Tone.FAILED,
    "cancelled": Tone.CANCELLED,
    "ended": Tone.CANCELLED,
    "skipped": Tone.SKIPPED,
}
_HELD = {"blocked": Tone.FAILED, "paused": Tone.WAITING}
_UNDOING = {"running": "being undone", "completed": "undone", "failed": "not undone", "skipped": "not undone"}
_WORDS = {
    Tone.DONE: "done",
    Tone.RUNNING: "running",
    Tone.WAITING: "waiting",
    Tone.FAILED: "failed",
    Tone.CANCELLED: "cancelled",
    Tone.SKIPPED: "skipped",
}
_IDLE = frozenset({"event", "approval", "time"})
_LIMITED = _IDLE | {"retry"}

Place = tuple[str, str]
"""A flow, by the step that opens it and the branch; both are empty for the workflow itself."""


@dataclass(frozen=True, kw_only=True)
class StepView:
    """What became of a step, also in words, and how often it was entered; `until_ms` limits what it waits for."""

    tone: Tone
    visits: int = 0
    state: tuple[str, ...] = ()
    until_ms: int | None = None


AHEAD = StepView(tone=Tone.AHEAD)
SKIPPED = StepView(tone=Tone.SKIPPED, state=("not taken",))


@dataclass(frozen=True, kw_only=True)
class FlowView:
    """What became of a flow, and how often it was entered."""

    tone: Tone
    entered: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: its steps by name, how often each way was gone (by the steps it leads from and to), and its flows.

    Of what is missing here this journal tells nothing: every item of a map step has a journal of its own.
    """

    workflow_id: str
    status: str
    steps: Mapping[str, StepView]
    ways: Mapping[tuple[str, str], int]
    flows: Mapping[Place, FlowView]


def run_of(definition: Definition, timeline: Timeline) -> Run:
    """The run of a workflow on the definition that it goes by."""
    visits: dict[str, list[Visit]] = {}
    undoings: dict[str, Visit] = {}
    for entry in timeline.story:
        if isinstance(entry, Visit) and entry.kind == COMPENSATION:
            undoings[entry.step] = entry
        elif isinstance(entry, Visit):
            visits.setdefault(entry.step, []).append(entry)
    waits_for = {matter.step: matter for matter in matters(timeline)}
    own = _own(definition, timeline.start_step or definition.start)
    ahead = _ahead(definition, {visit.step for visit in timeline.running if visit.kind != COMPENSATION})
    steps = {step: AHEAD if step in ahead else SKIPPED for scope in own for step in sorted(scope.steps)}
    before = StepView(tone=Tone.DONE, state=(_WORDS[Tone.DONE], brief(f"in {timeline.forked_from}", STATE_LIMIT)))
    steps |= dict.fromkeys(steps.keys() & set(timeline.done_before), before)
    for step, found in visits.items():
        steps[step] = _seen(timeline, found, undoings.get(step), waits_for.get(step))
    every = [visit for found in visits.values() for visit in found]
    return Run(
        workflow_id=timeline.workflow_id,
        status=timeline.status,
        steps=steps,
        ways=Counter((visit.step, visit.next_step) for visit in every if visit.next_step),
        flows=_flows(own, every),
    )


def _own(definition: Definition, start: str) -> list[ScopeNode]:
    """The scopes that a workflow runs itself that begins with a step, its outermost first."""
    found = list(graph.scopes(definition))
    outermost = next((scope for scope in found if scope.own_row and scope.start == start), found[0])
    return [scope for scope in found if _row(scope) is outermost]


def _row(scope: ScopeNode) -> ScopeNode:
    while not scope.own_row and scope.around is not None:
        scope = scope.around
    return scope


def _ahead(definition: Definition, running: set[str]) -> set[str]:
    """The steps that can still be entered."""
    exits = graph.edges(definition)
    inside = {
        name: {entry.target for _, entry in graph.entries(step)} | set(exits[name])
        for name, step in definition.steps.items()
    }
    return graph.closure({target for name in running for target in exits[name]}, inside)


def _seen(timeline: Timeline, visits: Sequence[Visit], undoing: Visit | None, matter: Matter | None) -> StepView:
    last = visits[-1]
    tone = _tone(undoing if undoing and undoing.status == "running" else last, matter)
    if tone is Tone.RUNNING and timeline.status in _HELD:
        return _view(_HELD[timeline.status], len(visits), timeline.status, timeline.error_class)
    undone = _UNDOING.get(undoing.status, "") if undoing else ""
    limit = f"until {moment(matter.until_ms)}" if matter and matter.until_ms and matter.kind in _LIMITED else ""
    view = _view(tone, len(visits), _WORDS[tone], *_outcomes(last), last.error_class, undone, limit)
    return replace(view, until_ms=matter.until_ms if matter else None)


def _tone(visit: Visit, matter: Matter | None) -> Tone:
    if visit.status == "running":
        return Tone.WAITING if matter and matter.kind in _IDLE else Tone.RUNNING
    return Tone.FAILED if visit.kind == "fail" else _TONES[visit.status]


def _view(tone: Tone, visits: int, word: str, *details: str) -> StepView:
    said = f"{word} \u00d7{visits}" if visits > 1 else word
    return StepView(
        tone=tone, visits=visits, state=(said, *(brief(detail, STATE_LIMIT) for detail in details if detail))
    )


def _outcomes(visit: Visit) -> Iterator[str]:
    """What became of what a visit started, in words."""
    for item in visit.items:
        if type(item) in _OUTCOMES:
            yield _OUTCOMES[type(item)](item)


_OUTCOMES: Mapping[type, Callable[[Any], str]] = {
    Items: lambda items: (
        f"{items.ended} of {items.total} items ended" + (f", {items.failed} failed" if items.failed else "")
    ),
    Child: lambda child: child.workflow_id,
    Firings: lambda firings: f"fired \u00d7{sum(firings.outcomes.values())}" if firings.outcomes else "",
}


def _flows(own: Sequence[ScopeNode], visits: Sequence[Visit]) -> dict[Place, FlowView]:
    """The flows that this workflow runs, and how many items it started of those that it does not run itself."""
    flows = {_place(scope): FlowView(tone=Tone.SKIPPED, entered=0) for scope in own}
    flows[_place(own[0])] = FlowView(tone=Tone.PLAIN, entered=1)
    for visit in visits:
        for item in visit.items:
            if isinstance(item, Branch):
                before = flows.get((visit.step, item.name))
                status = "ended" if item.status == "running" and visit.status != "running" else item.status
                tone = _TONES.get(status, Tone.RUNNING)
                flows[visit.step, item.name] = FlowView(tone=tone, entered=(before.entered if before else 0) + 1)
            elif isinstance(item, Items):
                before = flows.get((visit.step, ""))
                started = (before.entered if before else 0) + item.started
                flows[visit.step, ""] = FlowView(tone=Tone.PLAIN, entered=started)
    return flows


def _place(scope: ScopeNode) -> Place:
    return scope.opened_by, scope.branch
