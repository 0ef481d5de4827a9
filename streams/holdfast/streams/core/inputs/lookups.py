"""Searches for traces of calls whose outcome nobody knew."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas.record import Record
from holdfast.streams.core import closing, compensations
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.budget import EXHAUSTED, shortage
from holdfast.streams.core.calls import attempt_again, leave_to_a_person, not_made_again, search
from holdfast.streams.core.flow import react
from holdfast.streams.core.inputs.common import Handler
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import Call, CallStatus, StepRun
from holdfast.streams.core.turn import Turn

SEARCHES_MIN = 2
"""A call is made again only if so many searches, a visibility lag apart, found no trace of it."""


def _lookup(turn: Turn, body: rep.ReportLookup) -> Rejection | None:
    found = _searched_call(turn, body)
    if found is None:
        return reject("attempt_not_current", effect_key=body.effect_key, attempt=body.attempt)
    run, call = found
    if not body.found and not body.error_class and turn.now_ms < call.lookup_at_ms:
        # An executor's clock is fast. That nothing is seen yet says nothing; the lost search is asked for again.
        return reject("lookup_too_early", effect_key=body.effect_key, not_before_at_ms=call.lookup_at_ms)
    if body.error_class:
        leave_to_a_person(turn, run, call, f"searching for it failed with {body.error_class}: {body.error_message}")
        return None
    turn.emit(
        e.ToolLookupCompleted(
            step=run.step,
            visit=run.visit,
            effect_key=call.effect_key,
            attempt=call.attempt,
            lookup=body.lookup,
            executor_id=body.executor_id,
            found=body.found,
            result=body.result,
            evidence=body.evidence,
        )
    )
    if body.found:
        compensations.happened(turn, call.effect_key, body.result)
        react(turn, run.step, lambda kind: kind.tool_finished, turn.run(run.step).calls[call.effect_key])
    elif body.lookup < SEARCHES_MIN:
        lag_ms = turn.definition.definition.tools[call.tool].visibility_lag_ms
        search(turn, run, call, lookup=body.lookup + 1, due_at_ms=turn.now_ms + lag_ms)
    elif run.kind != UNDO and turn.state.closing is None and (reason := shortage(turn.state, call.kind)):
        not_made_again(turn, run, call, EXHAUSTED, reason)
        compensations.never_happened(turn, call, EXHAUSTED)
        react(turn, run.step, lambda kind: kind.call_failed, call, EXHAUSTED, reason)
    elif turn.state.closing is None or run.kind == UNDO:
        attempt_again(turn, run, call)
    else:
        compensations.never_happened(turn, call, "no trace of it was found")
        closing.go_on(turn)
    return None


def _searched_call(turn: Turn, body: rep.ReportLookup) -> tuple[StepRun, Call] | None:
    for run in turn.state.active.values():
        call = run.calls.get(body.effect_key)
        if call is None or call.status is not CallStatus.SEARCHED:
            continue
        if (call.attempt, call.lookup) == (body.attempt, body.lookup):
            return run, call
    return None


HANDLERS: Mapping[type[Record], Handler] = {rep.ReportLookup: _lookup}
