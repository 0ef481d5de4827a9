"""Workflows that this one started: how they ended."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas.record import Json, Record
from holdfast.streams.core.budget import amounts_in
from holdfast.streams.core.flow import react
from holdfast.streams.core.inputs.common import Handler
from holdfast.streams.core.rejections import Rejection
from holdfast.streams.core.turn import Turn


def _child_ended(turn: Turn, body: rep.ReportChildEnded) -> Rejection | None:
    child = turn.state.children.get(body.child_id)
    if child is None or turn.state.finished:
        return None  # said before, or nobody's concern any more
    turn.emit(
        e.ChildEnded(
            step=child.step,
            visit=child.visit,
            index=child.index,
            child_id=child.child_id,
            outcome=body.outcome,
            output=body.output,
            error_class=body.error_class,
            error_message=body.error_message,
            spent=_spent(body.spent),
        )
    )
    run = turn.state.active.get(child.step)
    if run is not None and child.is_of(run):
        react(turn, run.step, lambda kind: kind.child_ended)
    return None


def _spent(said: Json) -> Json:
    try:
        return dict(amounts_in(said)) or None
    except ValueError:  # not from an engine of ours: what was granted counts as unspent
        return None


HANDLERS: Mapping[type[Record], Handler] = {rep.ReportChildEnded: _child_ended}
