"""How a fork goes on with the visits that were under way where it was forked: one function per step kind."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

from holdfast.schemas import events as e
from holdfast.schemas.record import Json, changed
from holdfast.streams.core import definition as d
from holdfast.streams.core.budget import EXHAUSTED, grant, nothing_left, shortage
from holdfast.streams.core.calls import ask_model_again, effect_key_of, request_tool
from holdfast.streams.core.children import request_child
from holdfast.streams.core.flow import advance, react
from holdfast.streams.core.fork import Plan, is_done, unsure
from holdfast.streams.core.snapshot import KeptCall, KeptRun
from holdfast.streams.core.state import CallKind, CallStatus
from holdfast.streams.core.turn import Close, Join, Turn


def take_over(turn: Turn, plan: Plan, source: str) -> None:
    """Go on with every visit of a plan. Where nobody knows what a call did, a person is asked at the end."""
    for run in plan.kept:
        if any(isinstance(following, Close) for following in turn.ahead):
            break  # what went on has ended the workflow: nothing is begun any more
        _TAKE.get(run.kind, _enter_anew)(turn, run, plan.again)
    for step, scope in plan.entries:
        turn.enter(step, scope)
    for run in plan.kept:
        if run.kind == "parallel":  # another definition may need fewer branches
            turn.ahead.append(Join(run.step, run.visit))
    advance(turn)
    _leave_to_a_person(turn, plan, source)


def _enter_anew(turn: Turn, run: KeptRun, _again: frozenset[str]) -> None:
    turn.enter(run.step, run.scope)


def _parallel(turn: Turn, run: KeptRun, _again: frozenset[str]) -> None:
    turn.begin(run.step, run.scope)
    turn.emit(e.BranchesStarted(step=run.step, visit=run.visit, branches=tuple(branch.name for branch in run.branches)))
    for branch in run.branches:
        if branch.outcome:
            turn.emit(
                e.BranchEnded(
                    step=run.step,
                    visit=run.visit,
                    branch=branch.name,
                    outcome=branch.outcome,
                    output=branch.output,
                    error_class=branch.error_class,
                    error_message=branch.error_message,
                )
            )


def _child(turn: Turn, run: KeptRun, again: frozenset[str]) -> None:
    if run.child_result is None:
        _enter_anew(turn, run, again)
        return
    turn.begin(run.step, run.scope)
    _take(turn, run, {"child_result": run.child_result})
    react(turn, run.step, lambda kind: kind.catch_up)


def _map(turn: Turn, run: KeptRun, again: frozenset[str]) -> None:
    items = run.items
    if items is None or not items.has_ended:
        _enter_anew(turn, run, again)
        return
    turn.begin(run.step, run.scope)
    # Those that were about to begin are asked for again, by their own places in the list.
    begin = sorted(run.children, key=lambda child: child.index)
    values: list[Json] = [child.input["item"] if isinstance(child.input, dict) else None for child in begin]
    waiting = [*values, *items.waiting]
    given: Json = waiting
    kept: dict[str, Json] = {"results": dict(items.results), "failures": dict(items.failures)}
    if (content := items.content) is not None:
        given = content.source
        kept = {"waiting": waiting, "content": {**asdict(content), "ended": list(content.ended)}}
    turn.emit(e.ItemsCounted(step=run.step, visit=run.visit, total=items.total, items=given, shared=items.shared))
    _take(turn, run, {"items": kept})
    step = turn.step(run.step)
    assert isinstance(step, d.MapStep)
    for child in begin:
        here = turn.run(run.step).items
        assert here is not None
        granted = grant(turn.state, step.budget.limits(), among=here.total - here.started)
        if reason := nothing_left(granted):
            turn.fail(run.step, EXHAUSTED, reason)
            return
        request_child(
            turn,
            turn.run(run.step),
            definition_hash=turn.state.definition_hash,
            start_step=step.do,
            index=child.index,
            value=child.input,
            budget=granted,
        )
    react(turn, run.step, lambda kind: kind.catch_up)


def _tool(turn: Turn, run: KeptRun, again: frozenset[str]) -> None:
    done = [call for call in run.calls if is_done(call, again)]
    if not done and not any(unsure(call, again) for call in run.calls):
        _enter_anew(turn, run, again)
        return
    turn.begin(run.step, run.scope)
    if done:
        _take(turn, run, {"calls": _calls(turn, run, done)})
        react(turn, run.step, lambda kind: kind.catch_up)


def _agent(turn: Turn, run: KeptRun, again: frozenset[str]) -> None:
    turn.begin(run.step, run.scope)
    done = [call for call in run.calls if _is_answered(call) and call.effect_key not in again]
    _take(
        turn,
        run,
        {
            "turn": run.turn,
            "repairs": run.repairs,
            "model": run.model,
            "parameters": run.parameters,
            "messages": list(run.messages),
            "calls": _calls(turn, run, done),
        },
    )
    tools = [call for call in run.calls if call.kind is CallKind.TOOL]
    to_make = [call for call in tools if call not in done and not unsure(call, again)]
    asks = not tools and not done
    reason = shortage(turn.state, CallKind.MODEL) if asks else ""
    if to_make:
        reason = shortage(turn.state, CallKind.TOOL, len(to_make))
    if reason:
        turn.fail(run.step, EXHAUSTED, reason)
        return
    if asks:
        ask_model_again(turn, turn.run(run.step))
        return
    for call in to_make:
        _request(turn, run, call)
    if all(call in done for call in tools):
        react(turn, run.step, lambda kind: kind.catch_up)


def _is_answered(call: KeptCall) -> bool:
    """A model's answer that nobody has read yet, or what a tool gave: also an error, which the model reads."""
    read_by_the_step = call.answer is not None and not call.error_class
    return call.status is CallStatus.DONE and (call.kind is CallKind.TOOL or read_by_the_step)


_TAKE: Mapping[str, Callable[[Turn, KeptRun, frozenset[str]], None]] = {
    "parallel": _parallel,
    "child": _child,
    "map": _map,
    "tool": _tool,
    "agent": _agent,
}


def _take(turn: Turn, run: KeptRun, kept: dict[str, Json]) -> None:
    turn.emit(e.StepTakenOver(step=run.step, visit=run.visit, kept=kept))


def _calls(turn: Turn, run: KeptRun, calls: Iterable[KeptCall]) -> Json:
    """Calls as events carry them, under the keys that they have here."""
    return [asdict(changed(call, effect_key=_own_key(turn, run, call))) for call in calls]


def _own_key(turn: Turn, run: KeptRun, call: KeptCall) -> str:
    return effect_key_of(turn, turn.run(run.step), call.turn, call.index)


def _request(turn: Turn, run: KeptRun, call: KeptCall) -> None:
    tool = turn.definition.definition.tools[call.tool]
    request_tool(turn, turn.run(run.step), tool, call.arguments, index=call.index, call_id=call.call_id)


def _leave_to_a_person(turn: Turn, plan: Plan, source: str) -> None:
    """Record the calls that may have taken effect there as unknown here: nobody but a person can tell."""
    unknown: list[str] = []
    for run in plan.kept:
        calls = [call for call in run.calls if unsure(call, plan.again)]
        if turn.state.finished or run.step not in turn.state.active:
            continue  # what went on beside it has ended it
        for call in calls:
            _request(turn, run, call)
            turn.emit(
                e.ToolOutcomeUnknown(
                    step=run.step,
                    visit=run.visit,
                    turn=call.turn,
                    index=call.index,
                    effect_key=_own_key(turn, run, call),
                    attempt=1,
                    tool=call.tool,
                    effect=call.effect,
                    error_message=f"it was under way in {source} as {call.effect_key}",
                )
            )
            unknown.append(f"{call.tool} took effect, which is {_own_key(turn, run, call)} here")
    if unknown:
        turn.block(
            "",
            "outcome_unknown",
            f"Nobody knows whether {'; '.join(unknown)}: `holdfast show {source}` may tell, then `holdfast resolve` "
            "says so.",
        )
