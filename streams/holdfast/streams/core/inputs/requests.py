"""Requests: what people and other systems ask of a workflow."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas.record import Json, Record
from holdfast.streams.core.budget import amounts_in, tightest
from holdfast.streams.core.children import DEPTH_LIMIT
from holdfast.streams.core.flow import react
from holdfast.streams.core.inputs.common import Handler, closed, finished
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.scopes import TOP
from holdfast.streams.core.state import Parent, WorkflowState
from holdfast.streams.core.turn import Turn


def _start(turn: Turn, body: req.StartWorkflow) -> Rejection | None:
    if turn.exists:
        return _start_again(turn.state, body)
    definition = turn.definition.definition
    first = body.start_step or definition.start
    if first not in definition.steps:
        return reject("start_step_unknown", step=first)
    if body.depth > DEPTH_LIMIT:
        return reject("nested_too_deep", limit=DEPTH_LIMIT)
    errors = [] if body.start_step else turn.definition.input_errors(body.input)
    if errors:
        return reject("input_invalid", errors="; ".join(errors))
    try:
        budget = tightest(definition.budget.limits(), amounts_in(body.budget))
    except ValueError as exc:
        return reject("budget_invalid", error=exc)
    deadline_at_ms = turn.now_ms + definition.deadline_ms
    turn.emit(
        e.WorkflowStarted(
            input=body.input,
            deadline_at_ms=min(deadline_at_ms, body.deadline_limit_at_ms or deadline_at_ms),
            parent_id=body.parent_id,
            parent_step=body.parent_step,
            parent_visit=body.parent_visit,
            parent_index=body.parent_index,
            depth=body.depth,
            start_step=body.start_step,
            idle_timeout_ms=definition.idle_timeout_ms,
            budget=dict(budget) or None,
        )
    )
    turn.enter(first, TOP)
    return None


def _start_again(state: WorkflowState, body: req.StartWorkflow) -> Rejection | None:
    wanted = Parent(workflow_id=body.parent_id, step=body.parent_step, visit=body.parent_visit, index=body.parent_index)
    if state.parent == wanted:
        return None  # a parent that recovers asks again for what it may have asked for already
    return reject("workflow_exists", workflow_id=state.workflow_id, status=state.status)


def _cancel(turn: Turn, body: req.CancelWorkflow) -> Rejection | None:
    if refused := closed(turn):
        return refused
    turn.cancel_workflow(body.reason)
    return None


def _decide_approval(turn: Turn, body: req.DecideApproval) -> Rejection | None:
    state, cause = turn.state, turn.cause
    if state.finished:
        return finished(turn)
    if state.held:
        return reject("workflow_held", workflow_id=state.workflow_id, status=state.status)
    run = next((run for run in state.active.values() if run.approval_id == body.approval_id), None)
    if run is None or not body.approval_id:
        return reject("approval_not_open", approval_id=body.approval_id)
    approval = state.approvals[run.approval_id]
    if approval.approved:  # the step goes on with the call that was allowed: it must not be asked for once more
        return reject("approval_not_open", approval_id=body.approval_id)
    if body.action_hash != approval.action_hash:
        return reject("approval_hash_mismatch", expected=approval.action_hash, action_hash=body.action_hash)
    if body.decision not in ("approve", "reject"):
        return reject("decision_invalid", decision=body.decision)
    if cause.actor_kind != "person":
        return reject("reviewer_not_a_person", actor_id=cause.actor_id, actor_kind=cause.actor_kind)
    if cause.actor_id == state.started_by:
        return reject("self_approval", actor_id=cause.actor_id)
    turn.emit(
        e.ApprovalDecided(
            step=run.step,
            visit=run.visit,
            approval_id=body.approval_id,
            decision=body.decision,
            action_hash=body.action_hash,
            comment=body.comment,
        )
    )
    decision: Json = {
        "approved": body.decision == "approve",
        "approval_id": body.approval_id,
        "action_hash": body.action_hash,
        "reviewer": cause.actor_id,
        "comment": body.comment,
    }
    react(turn, run.step, lambda kind: kind.decided, decision)
    return None


HANDLERS: Mapping[type[Record], Handler] = {
    req.StartWorkflow: _start,
    req.DecideApproval: _decide_approval,
    req.CancelWorkflow: _cancel,
}
