"""The `agent` step: a loop of model calls and tool calls that lives in the fold.

Each model call and each tool call is one intent, one task, one outcome. An answer that does not fit is rejected with
its reasons and repaired at most `max_repairs` times.
"""

from holdfast.schemas import events as e
from holdfast.schemas import ids, jsontext
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.answers import ProposedCall, parse_output, read_answer
from holdfast.streams.core.budget import EXHAUSTED, shortage
from holdfast.streams.core.calls import request_model, request_tool
from holdfast.streams.core.state import Call, CallKind, CallStatus, StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    prompt = turn.render(run.step, "prompt")
    messages: list[Json] = [
        {"role": "system", "content": _text(turn.render(run.step, "instructions"))},
        {"role": "user", "content": _text(prompt)},
    ]
    _ask(turn, run, messages)


def _ask(turn: Turn, run: StepRun, messages: list[Json]) -> None:
    if reason := shortage(turn.state, CallKind.MODEL):
        turn.fail(run.step, EXHAUSTED, reason)
    else:
        request_model(turn, run, messages, _parameters(turn, _step(turn, run)))


def _model_answered(turn: Turn, run: StepRun, response: Json) -> None:
    answer = read_answer(response)
    if answer.problem:
        _reject(turn, run, [answer.problem])
    elif answer.calls:
        _call_tools(turn, run, answer.calls)
    else:
        _finish(turn, run, answer.content)


def _call_tools(turn: Turn, run: StepRun, proposed: tuple[ProposedCall, ...]) -> None:
    step = _step(turn, run)
    problems = {call.call_id: problem for call in proposed if (problem := _problem(step, call))}
    if problems:
        _reject(turn, run, [f"{call_id}: {problem}" for call_id, problem in problems.items()], proposed)
        return
    if reason := shortage(turn.state, CallKind.TOOL, len(proposed)):
        turn.fail(run.step, EXHAUSTED, reason)
        return
    # Index 0 of a turn is the model call itself.
    for index, call in enumerate(proposed, start=1):
        tool = turn.definition.definition.tools[call.tool]
        request_tool(turn, turn.run(run.step), tool, call.arguments, index=index, call_id=call.call_id)


def _problem(step: d.AgentStep, call: ProposedCall) -> str:
    if call.tool not in step.tools:
        return f"there is no tool {call.tool!r}; the tools are {', '.join(step.tools) or 'none'}"
    return call.problem


def _tool_finished(turn: Turn, run: StepRun, _call: Call) -> None:
    run = turn.run(run.step)
    tools = sorted((c for c in run.calls.values() if c.kind is CallKind.TOOL), key=lambda c: c.index)
    if any(call.status is not CallStatus.DONE for call in tools):
        return
    messages: list[Json] = [
        {"role": "tool", "tool_call_id": call.call_id, "content": jsontext.dumps(call.answer)} for call in tools
    ]
    _next_turn(turn, run, messages)


def _call_failed(turn: Turn, run: StepRun, call: Call, error_class: str, message: str) -> None:
    if call.kind is CallKind.TOOL:
        # The model reads the error like a result and decides what to do about it.
        _tool_finished(turn, run, call)
    else:
        turn.fail(run.step, error_class, message)


def _catch_up(turn: Turn, run: StepRun) -> None:
    for call in run.calls.values():
        if call.status is not CallStatus.DONE:
            return
        if call.kind is CallKind.TOOL:
            _tool_finished(turn, run, call)
            return
    model = next((call for call in run.calls.values() if call.kind is CallKind.MODEL), None)
    if model is not None and model.error_class:
        turn.fail(run.step, model.error_class, model.error_message)
    elif model is not None:
        _model_answered(turn, run, model.answer)


def _finish(turn: Turn, run: StepRun, content: str) -> None:
    step = _step(turn, run)
    if step.output is None:
        output: Json = content
    else:
        try:
            output = parse_output(content)
        except ValueError as exc:
            _reject(turn, run, [f"the answer is not JSON: {exc}"])
            return
    errors = turn.definition.output_errors(run.step, output) or failed_checks(turn, run.step, step.check, output)
    if errors:
        _reject(turn, run, errors)
    else:
        turn.complete(run.step, output)


def failed_checks(turn: Turn, step: str, checks: tuple[str, ...], output: Json) -> list[str]:
    """The step's own conditions that an output does not meet; they see it as `steps.<name>.output`."""
    scope = dict(turn.scope())
    steps = scope["steps"]
    assert isinstance(steps, dict)
    scope["steps"] = {**steps, step: {"output": output}}
    return [f"`{check}` is not true" for check in checks if turn.definition.evaluate(check, scope) is not True]


def _reject(turn: Turn, run: StepRun, errors: list[str], proposed: tuple[ProposedCall, ...] = ()) -> None:
    step = _step(turn, run)
    state = turn.state
    turn.emit(
        e.OutputRejected(
            step=run.step,
            visit=run.visit,
            turn=run.turn,
            effect_key=ids.effect_key(state.tenant, state.workflow_id, run.step, run.visit, run.turn, 0),
            errors=tuple(errors),
            repair_round=run.repairs + 1,
        )
    )
    if run.repairs >= step.max_repairs:
        turn.fail(run.step, "invalid_output", f"still not accepted after {run.repairs} repairs: {'; '.join(errors)}")
        return
    sentence = "Your answer was not accepted:\n- " + "\n- ".join(errors) + "\nAnswer again."
    # Servers refuse a transcript in which a tool call stays unanswered.
    refused: list[Json] = [{"role": "tool", "tool_call_id": call.call_id, "content": "not called"} for call in proposed]
    _next_turn(turn, turn.run(run.step), [*refused, {"role": "user", "content": sentence}])


def _next_turn(turn: Turn, run: StepRun, messages: list[Json]) -> None:
    step = _step(turn, run)
    if run.turn >= step.max_turns:
        turn.fail(run.step, "turn_limit", f"no accepted answer within {step.max_turns} turns")
        return
    _ask(turn, run, messages)


def _parameters(turn: Turn, step: d.AgentStep) -> Json:
    parameters: dict[str, Json] = {"max_completion_tokens": step.max_output_tokens}
    if step.tools:
        tools = turn.definition.definition.tools
        parameters["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": tools[name].description,
                    "parameters": tools[name].input_schema,
                },
            }
            for name in step.tools
        ]
    if step.output is not None:
        parameters["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": step.output},
        }
    return parameters


def _step(turn: Turn, run: StepRun) -> d.AgentStep:
    step = turn.step(run.step)
    assert isinstance(step, d.AgentStep)
    return step


def _text(value: Json) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value)


KIND = StepKind(
    enter=_enter,
    model_answered=_model_answered,
    tool_finished=_tool_finished,
    call_failed=_call_failed,
    catch_up=_catch_up,
)
