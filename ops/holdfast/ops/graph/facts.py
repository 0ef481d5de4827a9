"""What a picture shows, as data: the steps of a definition with what became of them, and the ways between them."""

from typing import Any

from holdfast.ops.graph.diagram import Tone
from holdfast.ops.graph.run import Run, StepView
from holdfast.ops.graph.ways import met, ways
from holdfast.streams.core import graph
from holdfast.streams.core.definition import Definition

_NOTHING = StepView(tone=Tone.PLAIN)


def facts(definition: Definition, run: Run | None = None) -> dict[str, Any]:
    """Steps by scope, outer ones first, and the ways between them, as `holdfast graph --json` prints them."""
    steps, found = [], []
    for scope in graph.scopes(definition):
        for name in met(definition, scope.start):
            step = definition.steps[name]
            view = run.steps.get(name, _NOTHING) if run else _NOTHING
            steps.append(
                {
                    "step": name,
                    "kind": step.kind,
                    "opened_by": scope.opened_by,
                    "branch": scope.branch,
                    "status": "" if view.tone is Tone.PLAIN else view.tone.value,
                    "visits": view.visits,
                    "until_ms": view.until_ms,
                }
            )
            found += [
                {
                    "from": way.source,
                    "to": way.target,
                    "when": list(way.said),
                    "taken": run.ways.get((way.source, way.target), 0) if run else 0,
                }
                for way in ways(name, step)
            ]
    return {"steps": steps, "ways": found}
