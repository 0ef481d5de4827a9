"""A definition as a diagram, and a run on it: steps are boxes, branches and items are flows within boxes."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from holdfast.ops.event_text import brief, moment, safe
from holdfast.ops.graph.diagram import ENTRY, Diagram, Edge, Flow, Node, Tone, flows
from holdfast.ops.graph.run import Place, Run, StepView
from holdfast.ops.graph.ways import Way, met, shortened, ways
from holdfast.schemas.durations import duration_text
from holdfast.streams.core import definition as d
from holdfast.streams.core import graph
from holdfast.streams.core.schedule import Timing

LINE_LIMIT = 34
LABEL_WIDTH = 26
LABEL_LINES = 2

_PIECE = re.compile(r"[^\s.]*(?:\.|\s+|$)")
_NOTHING = StepView(tone=Tone.PLAIN)


def diagram_of(definition: d.Definition, run: Run | None = None) -> Diagram:
    """The picture of a definition, with what a run did if one is given."""
    outermost = _Picture(definition, run).flow(("", ""), definition.start, "")
    title = definition.name if run is None else f"{run.workflow_id}: {definition.name}, {run.status}"
    return Diagram(title=safe(title), description="\n".join(_in_words(definition, outermost)), flow=outermost)


class _Picture:
    def __init__(self, definition: d.Definition, run: Run | None) -> None:
        self._definition, self._run = definition, run

    def flow(self, place: Place, start: str, title: str) -> Flow:
        """One scope, from its first step on: a dot that leads to it, and the steps as they are met."""
        name = "/".join(place)
        view = self._run.flows.get(place) if self._run else None
        entry = Node(name=name, kind=ENTRY, tone=view.tone if view else Tone.PLAIN)
        entered = view.entered if view else 0
        first = Edge(source=entry.name, target=start, label=_times(entered), main=True, taken=entered)
        steps = [(step, self._definition.steps[step]) for step in met(self._definition, start)]
        return Flow(
            name=name,
            title=title,
            nodes=(entry, *(self._node(step, body) for step, body in steps)),
            edges=(first, *(self._edge(way) for step, body in steps for way in ways(step, body))),
            tone=view.tone if view else Tone.PLAIN,
        )

    def _node(self, name: str, step: d.Step) -> Node:
        view = self._run.steps.get(name, _NOTHING) if self._run else _NOTHING
        return Node(
            name=name,
            kind=step.kind,
            title=name,
            lines=_wrapped(safe(f"{step.kind} {_DOES[type(step)](step)}".rstrip()), LINE_LIMIT, 2),
            state=view.state,
            tone=view.tone,
            hint=brief(step.purpose, 400),
            flows=tuple(self._inside(name, step)),
        )

    def _inside(self, name: str, step: d.Step) -> Iterator[Flow]:
        for branch, entry in sorted(graph.entries(step), key=lambda opened: opened[0]):
            when = step.branches[branch].when if isinstance(step, d.ParallelStep) else ""
            title = (f"{branch} if {shortened(when)}" if when else branch) or "each item"
            yield self.flow((name, branch), entry.target, brief(title, LINE_LIMIT))

    def _edge(self, way: Way) -> Edge:
        taken = self._run.ways.get((way.source, way.target), 0) if self._run else 0
        plain = way.main and len(way.said) == 1
        label = () if plain else _wrapped(", ".join(map(shortened, way.said)), LABEL_WIDTH, LABEL_LINES)
        return Edge(
            source=way.source,
            target=way.target,
            label=(*label, *_times(taken)),
            main=way.main,
            exceptional=way.exceptional,
            taken=taken,
            hint="" if plain else ", ".join(way.said),
        )


def _wrapped(text: str, width: int, lines: int) -> tuple[str, ...]:
    """So many lines at most, broken after blanks and dots; what does not fit is left out."""
    found = [""]
    for piece in _PIECE.findall(text):
        if found[-1] and len(f"{found[-1]}{piece}".rstrip()) > width:
            found.append("")
        found[-1] += piece
    shown = [line.rstrip() for line in found if line.strip()]
    if len(shown) > lines:
        shown = [*shown[: lines - 1], f"{shown[lines - 1]} \u2026"]
    return tuple(line if len(line) <= width + 2 else f"{line[:width]}\u2026" for line in shown)


def _times(taken: int) -> tuple[str, ...]:
    return (f"\u00d7{taken}",) if taken > 1 else ()


def _in_words(definition: d.Definition, outermost: Flow) -> Iterator[str]:
    """What the picture shows, for those who cannot see it: one line per step."""
    yield f"{definition.name}: {len(definition.steps)} steps, the first is {definition.start}."
    for flow in flows(outermost):
        for node in flow.nodes:
            if node.kind != ENTRY:
                targets = [
                    edge.target + (f" ({edge.hint})" if edge.hint else "")
                    for edge in flow.edges
                    if edge.source == node.name
                ]
                state = f": {', '.join(node.state)}" if node.state else ""
                where = f" in {flow.name.rstrip('/')}" if flow is not outermost else ""
                yield f"{node.name}, {' '.join(node.lines)}{where}{state}; leads to {', '.join(targets) or 'the end'}."


def _events(step: d.WaitStep) -> str:
    return step.event or " or ".join(awaited.event for awaited in step.events)


def _sleep(step: d.SleepStep) -> str:
    parts = [
        "" if step.for_ms is None else duration_text(step.for_ms),
        "" if step.until is None else f"until {step.until}",
        "" if step.within is None else f"within {step.within}",
    ]
    return ", ".join(filter(None, parts))


def _timing(timing: Timing) -> str:
    if timing.cron is not None:
        return str(timing.cron)
    if timing.every_ms is not None:
        return f"every {duration_text(timing.every_ms)}"
    return f"at {moment(timing.at_ms or 0)}"


_DOES: Mapping[type, Callable[[Any], str]] = {
    d.AgentStep: lambda step: ", ".join(step.tools),
    d.ToolStep: lambda step: step.tool,
    d.ApprovalStep: lambda step: f"by {' or '.join(step.roles)}, {duration_text(step.timeout_ms)}",
    d.WaitStep: lambda step: f"{_events(step)}, {duration_text(step.timeout_ms)}",
    d.SleepStep: lambda step: _sleep(step),
    d.ChoiceStep: lambda step: "",
    d.ParallelStep: lambda step: f"{step.join} of {len(step.branches)}",
    d.MapStep: lambda step: f"{brief(step.items)}, {step.concurrency} at a time",
    d.ChildStep: lambda step: step.definition,
    d.ScheduleStep: lambda step: f"{_timing(step.timing)}, {step.definition}",
    d.AssignStep: lambda step: ", ".join(sorted(step.set)),
    d.SucceedStep: lambda step: "",
    d.FailStep: lambda step: step.error,
}
