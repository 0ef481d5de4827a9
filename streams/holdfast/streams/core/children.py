"""Starting workflows from a workflow: an intent like any other, with an identity that is a function of its place."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas import ids
from holdfast.schemas.record import Json
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.turn import Turn

UNLIMITED: Mapping[str, int] = {}
DEPTH_LIMIT = 8
"""How many parents may stand above a workflow."""


def request_child(
    turn: Turn,
    run: StepRun,
    *,
    definition_hash: str,
    value: Json,
    start_step: str = "",
    index: int = 0,
    awaited: bool = True,
    on_parent_end: str = "cancel",
    child_id: str = "",
    budget: Mapping[str, int] = UNLIMITED,
) -> str:
    """Record the intent of starting a workflow for a visit of a step; its id, unless given, follows from its place.

    What limits the step, or the workflow, limits the child as well, unless it is to outlive its parent. `budget` is
    what it may spend.
    """
    state = turn.state
    child_id = child_id or ids.child_id(state.workflow_id, run.step, run.visit, index)
    limits = [limit for limit in (run.timeout_at_ms if awaited else 0, state.deadline_at_ms) if limit]
    turn.emit(
        e.ChildRequested(
            step=run.step,
            visit=run.visit,
            index=index,
            child_id=child_id,
            child_definition_hash=definition_hash,
            start_step=start_step,
            input=value,
            awaited=awaited,
            on_parent_end=on_parent_end,
            deadline_limit_at_ms=0 if on_parent_end == "leave" else min(limits),
            budget=dict(budget) or None,
        )
    )
    return child_id
