"""Inputs to events, by the table in `inputs`. Pure: the time is the input's append time."""

from dataclasses import dataclass

from holdfast.schemas import requests as req
from holdfast.schemas.record import Message, Record
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.evolve import Cause, folded_before
from holdfast.streams.core.flow import advance
from holdfast.streams.core.inputs import HANDLERS
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.core.turn import Turn


@dataclass(frozen=True, slots=True)
class Decision:
    """The events of a decision and the state they lead to; no events means that the input changes nothing."""

    events: tuple[Record, ...]
    state: WorkflowState | None


def decide(
    state: WorkflowState | None,
    command: Message[Record],
    definition: CompiledDefinition,
    cause: Cause,
    candidate: CompiledDefinition | None = None,
) -> Decision | Rejection:
    """What an input leads to.

    Arguments: the workflow's state (None if it does not exist), the decoded inbox record, the definition that the
    workflow runs by, the cause of the events to come, and the definition that the input wants the workflow to run by
    instead (None if it wants none, or one that is not known). A refused input of an existing workflow is still
    recorded: the caller turns the Rejection into an `InputRejected` event.
    """
    body = command.body
    if state is None and not isinstance(body, STARTS):
        return reject("workflow_not_found", workflow_id=cause.workflow_id)
    if state is not None and folded_before(state, cause.input_id):
        return Decision(events=(), state=state)
    turn = Turn(state, definition, cause, candidate)
    refused = HANDLERS[type(body)](turn, body)
    if refused is not None:
        return refused
    if turn.events or turn.ahead:
        advance(turn)
    return Decision(events=tuple(turn.events), state=turn.state if turn.events else state)


STARTS = (req.StartWorkflow, req.ForkWorkflow)
"""The inputs that make a workflow."""
INPUT_TYPES = frozenset(HANDLERS)
