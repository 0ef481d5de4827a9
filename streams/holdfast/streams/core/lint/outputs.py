"""The shape of what each kind of step leaves as its output."""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.streams.core import definition as d
from holdfast.streams.core.lint.shapes import ANY, TEXT, WHOLE, Field, Kind, Shape, listed, record, shape_of

_ERROR = {"class": TEXT, "message": TEXT}


def output_shape(definition: d.Definition, name: str) -> Shape:
    """The shape of `steps.<name>.output` in the definition; `ANY` for a kind that promises nothing."""
    step = definition.steps[name]
    shape = _SHAPES.get(type(step))
    return shape(definition, step, f"steps.{name}.output") if shape is not None else ANY


def _agent(_definition: d.Definition, step: d.AgentStep, label: str) -> Shape:
    return TEXT if step.output is None else shape_of(step.output, label)


def _tool(definition: d.Definition, step: d.ToolStep, label: str) -> Shape:
    tool = definition.tools.get(step.tool)
    return ANY if tool is None else shape_of(tool.output_schema, label)


def _approval(_definition: d.Definition, _step: d.ApprovalStep, label: str) -> Shape:
    approved = Shape(kind=Kind.TRUTH)
    return record(
        label, {"approved": approved, **dict.fromkeys(("approval_id", "action_hash", "reviewer", "comment"), TEXT)}
    )


def _wait(_definition: d.Definition, step: d.WaitStep, label: str) -> Shape:
    return record(label, {"event": TEXT, "correlation": TEXT, "payload": ANY}) if step.events else ANY


def _sleep(_definition: d.Definition, _step: d.SleepStep, label: str) -> Shape:
    return record(label, {"woken_at_ms": WHOLE})


def _choice(_definition: d.Definition, _step: d.ChoiceStep, label: str) -> Shape:
    return record(label, {"taken": TEXT})


def _parallel(_definition: d.Definition, step: d.ParallelStep, label: str) -> Shape:
    all_complete = step.on_failure != "ignore" and step.wanted(len(step.branches)) == len(step.branches)
    results = {
        name: Field(shape=ANY, required=all_complete and not branch.when) for name, branch in step.branches.items()
    }
    failure = record(f"{label}.failures", _ERROR)
    failures = {name: Field(shape=failure, required=False) for name in step.branches}
    return record(
        label,
        {
            "results": Shape(kind=Kind.OBJECT, label=f"{label}.results", fields=results),
            "failures": Shape(kind=Kind.OBJECT, label=f"{label}.failures", fields=failures),
            "first": TEXT,
        },
    )


def _map(_definition: d.Definition, step: d.MapStep, label: str) -> Shape:
    error = record(f"{label}.failures[].error", _ERROR)
    failure = record(f"{label}.failures[]", {"index": WHOLE, "error": error})
    # Over content they are a reference; which of the two an expression gives is known when it is evaluated.
    results = listed(ANY) if isinstance(step.items, list) else ANY
    return record(label, {"results": results, "failed": WHOLE, "failures": listed(failure)})


def _child(_definition: d.Definition, step: d.ChildStep, label: str) -> Shape:
    return ANY if step.wait else record(label, {"workflow_id": TEXT})


def _schedule(_definition: d.Definition, _step: d.ScheduleStep, label: str) -> Shape:
    return record(label, {"last_ms": WHOLE})


def _assign(_definition: d.Definition, step: d.AssignStep, label: str) -> Shape:
    return record(label, dict.fromkeys(step.set, ANY))


def _fail(_definition: d.Definition, _step: d.FailStep, label: str) -> Shape:
    return record(label, {"error": TEXT, "message": TEXT})


_SHAPES: Mapping[type, Callable[[d.Definition, Any, str], Shape]] = {
    d.AgentStep: _agent,
    d.ToolStep: _tool,
    d.ApprovalStep: _approval,
    d.WaitStep: _wait,
    d.SleepStep: _sleep,
    d.ChoiceStep: _choice,
    d.ParallelStep: _parallel,
    d.MapStep: _map,
    d.ChildStep: _child,
    d.ScheduleStep: _schedule,
    d.AssignStep: _assign,
    d.FailStep: _fail,
}
