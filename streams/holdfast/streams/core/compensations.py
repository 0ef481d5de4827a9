"""What can be undone: known before the effect is asked for, bound to its recorded result, dropped if it never was."""

from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas import ids
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.appliers.common import undo_key
from holdfast.streams.core.calls import action_hash
from holdfast.streams.core.expressions import ExpressionError
from holdfast.streams.core.state import Call, Compensation, StepRun, Undo
from holdfast.streams.core.turn import Turn


def register(turn: Turn, run: StepRun) -> None:
    """Record how to undo what a tool step is about to ask for, if it says so and that is not on record yet."""
    step = turn.step(run.step)
    known = undo_key(run.step, run.visit) in turn.state.compensations
    if isinstance(step, d.ToolStep) and step.compensate is not None and not known:
        key = ids.effect_key(turn.state.tenant, turn.state.workflow_id, run.step, run.visit, run.turn, 0)
        turn.emit(
            e.CompensationRegistered(
                step=run.step,
                visit=run.visit,
                effect_key=key,
                tool=step.compensate.tool,
                **_prior(turn, step.compensate.restore),
            )
        )


def _prior(turn: Turn, restore: d.Restore | None) -> dict[str, Any]:
    """What was read before the write, and how to read it again, for the event."""
    if restore is None:
        return {}
    reading = turn.step(restore.read)
    assert isinstance(reading, d.ToolStep)
    return {
        "read_tool": reading.tool,
        "read_arguments": turn.render(restore.read, "arguments"),
        "prior": turn.state.outputs.get(restore.read),
    }


def happened(turn: Turn, effect_key: str, result: Json) -> None:
    """The effect of a call is known to have happened: bind what undoes it. Also for results that come late."""
    undo = of_effect(turn, effect_key)
    if undo is None:
        return
    step = turn.step(undo.step)
    assert isinstance(step, d.ToolStep)
    assert step.compensate is not None
    scope = dict(turn.scope())
    steps = scope["steps"]
    assert isinstance(steps, dict)
    scope["steps"] = {**steps, undo.step: {"output": result}}
    restore, written = step.compensate.restore, None
    try:
        arguments = turn.definition.render(undo.step, "compensate", scope)
        if restore is not None:
            written = result if restore.written is None else turn.definition.render(undo.step, "restore", scope)
    except ExpressionError:
        return  # stays as it is: closing the workflow says that nobody knows how to undo it
    tool = turn.definition.definition.tools[step.compensate.tool]
    state = turn.state
    turn.emit(
        e.CompensationBound(
            step=undo.step,
            visit=undo.visit,
            tool=tool.name,
            effect=tool.effect,
            arguments=arguments,
            action_hash=action_hash(state.tenant, state.workflow_id, tool, arguments),
            written=written,
        )
    )


def never_happened(turn: Turn, call: Call, reason: str) -> None:
    """A call is known to have had no effect: there is nothing to undo."""
    undo = of_effect(turn, call.effect_key)
    if undo is not None:
        turn.emit(e.CompensationDropped(step=undo.step, visit=undo.visit, reason=reason))


def of_effect(turn: Turn, effect_key: str) -> Compensation | None:
    """The compensation that waits to know whether a call took effect."""
    for undo in turn.state.compensations.values():
        if undo.effect_key == effect_key and undo.status is Undo.REGISTERED:
            return undo
    return None
