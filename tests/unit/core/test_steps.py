"""What each step kind does: given a definition, when inputs come, then these events."""

from collections.abc import Mapping
from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import results as res
from holdfast.schemas import tasks as t
from support.scenario import START_MS, Scenario, answer, define, only

HOUR_MS = 3_600_000
OUTPUT = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


def agent(**more: Any) -> dict[str, Any]:
    return {"kind": "agent", "instructions": "be brief", "prompt": "${input}", "next": "end", **more}


def started(steps: Mapping[str, Any], value: Any = None, **more: Any) -> Scenario:
    scenario = Scenario(define(steps, **more))
    scenario.start(value)
    return scenario


def transcript(task: Any) -> list[Any]:
    messages: list[Any] = task.messages
    return messages


def test_a_workflow_of_one_ending_completes_at_once() -> None:
    scenario = started({"end": {"kind": "succeed", "output": {"doubled": "${input.n * 2}"}}}, {"n": 21})
    assert scenario.names == ["WorkflowStarted", "StepStarted", "StepCompleted", "WorkflowCompleted"]
    assert scenario.state.output == {"doubled": 42}
    assert [type(r) for r in scenario.sent] == [e.WorkflowCompleted, res.WorkflowStatus]


def test_a_fail_step_ends_the_workflow_with_its_error() -> None:
    scenario = started({"no": {"kind": "fail", "error": "refused", "message": "not ${input.who}"}}, {"who": "you"})
    failed = only(scenario.last, e.WorkflowFailed)
    assert (failed.error_class, failed.error_message) == ("refused", "not you")


def test_a_choice_takes_the_first_branch_that_is_true() -> None:
    steps: dict[str, Any] = {
        "pick": {
            "kind": "choice",
            "branches": [{"when": "input.n > 10", "next": "broken"}, {"when": "input.n > 5", "next": "end"}],
            "default": "broken",
        }
    }
    assert started(steps, {"n": 7}).state.status == "completed"
    assert started(steps, {"n": 3}).state.status == "failed"


def test_assign_sets_variables_that_later_steps_read() -> None:
    steps: dict[str, Any] = {
        "set": {"kind": "assign", "set": {"total": "${input.a + input.b}"}, "next": "done"},
        "done": {"kind": "succeed", "output": "total ${vars.total}"},
    }
    assert started(steps, {"a": 1, "b": 2}).state.output == "total 3"


def test_a_tool_step_asks_for_one_call_and_its_result_is_the_output() -> None:
    scenario = started(
        {"find": {"kind": "tool", "tool": "look", "arguments": {"id": "${input.id}"}, "next": "end"}}, {"id": 7}
    )
    task = scenario.take()
    assert isinstance(task, t.RunToolCall)
    assert (task.tool, task.arguments, task.attempt, task.lease_ms) == ("look", {"id": 7}, 1, 0)
    assert task.effect_key == "acme/w-1/find.1/0/0"
    scenario.tool_result(task, {"found": True})
    assert scenario.state.outputs["find"] == {"found": True}
    assert scenario.state.status == "completed"


@pytest.mark.parametrize(("tool", "claimed"), [("look", False), ("send", False), ("slow", True), ("pay", True)])
def test_calls_that_are_slow_or_must_not_happen_twice_are_claimed(tool: str, claimed: bool) -> None:
    task = started({"go": {"kind": "tool", "tool": tool, "next": "end"}}).take()
    assert (task.lease_ms > 0) is claimed


def test_a_sleep_lasts_until_its_window_is_open() -> None:
    """The workflow starts on Thursday 1970-01-01 at 01:16 in Paris."""
    step = {"kind": "sleep", "within": "Fri 09:00-17:00 Europe/Paris", "next": "end"}
    scenario = started({"nap": step})
    assert scenario.state.active["nap"].wake_at_ms == (24 + 8) * HOUR_MS
    later = started({"nap": {**step, "for": "33h"}})
    assert later.state.active["nap"].wake_at_ms == START_MS + 33 * HOUR_MS
    closed = started({"nap": {**step, "until": "1970-01-02T18:00:00+01:00"}})
    assert closed.state.active["nap"].wake_at_ms == (8 * 24 + 8) * HOUR_MS


def test_a_check_that_is_not_met_fails_the_step() -> None:
    step = {
        "kind": "tool",
        "tool": "look",
        "check": ["steps.find.output.n > 0"],
        "next": "end",
        "catch": {"invalid_output": "broken"},
    }
    scenario = started({"find": step})
    scenario.tool_result(scenario.take(), {"n": 0})
    assert only(scenario.last, e.StepFailed).next_step == "broken"


def test_an_agent_calls_its_tools_and_ends_with_a_checked_answer() -> None:
    scenario = started({"think": agent(tools=["look"], output=OUTPUT)}, {"q": 1})
    first = scenario.take()
    assert isinstance(first, t.RunModelCall)
    assert [m["role"] for m in transcript(first)] == ["system", "user"]
    scenario.claim(first)
    scenario.model_result(first, answer(calls=[("look", {"a": 1}), ("look", {"a": 2})]))
    one, two = scenario.take(), scenario.take()
    assert {one.effect_key, two.effect_key} == {"acme/w-1/think.1/1/1", "acme/w-1/think.1/1/2"}
    scenario.tool_result(two, "second")
    assert not scenario.tasks, "the model is not asked before all its calls are answered"
    scenario.tool_result(one, "first")
    second = scenario.take()
    assert [m["role"] for m in second.messages] == ["system", "user", "assistant", "tool", "tool"]
    assert [m["content"] for m in second.messages[3:]] == ['{"result":"first"}', '{"result":"second"}']
    requested = only(scenario.last, e.ModelCallRequested)
    assert len(requested.messages) == 2, "an intent holds only what it adds, so the journal grows linearly"
    scenario.model_result(second, answer('```json\n{"n": 3}\n```'))
    assert scenario.state.outputs["think"] == {"n": 3}


def test_an_answer_that_does_not_fit_is_repaired_at_most_twice() -> None:
    scenario = started({"think": agent(output=OUTPUT, catch={"invalid_output": "broken"})})
    for round_number, bad in enumerate(("nonsense", '{"n": "three"}'), start=1):
        scenario.model_result(scenario.take(), answer(bad))
        assert only(scenario.last, e.OutputRejected).repair_round == round_number
        assert transcript(scenario.tasks[0])[-1]["content"].startswith("Your answer was not accepted")
    scenario.model_result(scenario.take(), answer("[]"))
    assert only(scenario.last, e.StepFailed).error_class == "invalid_output"
    assert scenario.state.status == "failed"


@pytest.mark.parametrize(
    "response",
    [
        None,
        "<html>",
        {"choices": None},
        {"choices": [{"message": {"content": "cut"}, "finish_reason": "length"}]},
        {"choices": [{"message": {"content": "cut"}}]},
        {"choices": [{"message": {"content": "  "}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"tool_calls": [{"function": None}]}, "finish_reason": "tool_calls"}]},
        {"choices": [{"message": {"tool_calls": "x", "content": 3}, "finish_reason": "stop"}]},
    ],
)
def test_whatever_a_model_answers_is_recorded_and_refused_with_reasons(response: Any) -> None:
    scenario = started({"think": agent(tools=["look"])})
    scenario.model_result(scenario.take(), response)
    assert scenario.names == ["ModelCallCompleted", "OutputRejected", "ModelCallRequested"]
    assert only(scenario.last, e.ModelCallCompleted).response == response


def test_an_agent_may_call_only_the_tools_of_its_step() -> None:
    scenario = started({"think": agent(tools=["look"])})
    scenario.model_result(scenario.take(), answer(calls=[("pay", {})]))
    assert "there is no tool 'pay'" in only(scenario.last, e.OutputRejected).errors[0]
    assert scenario.take().messages[-2]["role"] == "tool", "an unanswered call would make servers refuse the transcript"


def test_an_agent_reads_the_failure_of_a_tool_and_goes_on() -> None:
    scenario = started({"think": agent(tools=["look"])})
    scenario.model_result(scenario.take(), answer(calls=[("look", {})]))
    scenario.failure(scenario.take(), "tool_error")
    assert "tool_error" in scenario.take().messages[-1]["content"]


def test_an_agent_that_never_ends_is_stopped_at_its_turn_limit() -> None:
    scenario = started({"think": agent(tools=["look"], max_turns=2)})
    for _ in range(2):
        scenario.model_result(scenario.take(), answer(calls=[("look", {})]))
        scenario.tool_result(scenario.take(), 1)
    assert only(scenario.last, e.StepFailed).error_class == "turn_limit"


def test_a_sleep_ends_when_its_time_has_come_and_not_before() -> None:
    scenario = started({"nap": {"kind": "sleep", "for": "10s", "next": "end"}})
    assert scenario.state.status == "waiting"
    scenario.now_ms = START_MS + 9_999
    assert scenario.fire_now() == []
    scenario.now_ms = START_MS + 10_000
    scenario.fire_now()
    assert scenario.names[:2] == ["TimerFired", "StepCompleted"]
    assert scenario.state.status == "completed"


@pytest.mark.parametrize(("until", "due_ms"), [("${input.at}", 5_000_000), ("1970-01-01T01:00:00+00:00", HOUR_MS)])
def test_a_sleep_can_end_at_a_time(until: str, due_ms: int) -> None:
    scenario = started({"nap": {"kind": "sleep", "until": until, "next": "end"}}, {"at": 5_000_000})
    assert only(scenario.last, e.TimerScheduled).due_at_ms == due_ms


def test_a_sleep_until_nonsense_fails_the_workflow_with_a_sentence() -> None:
    scenario = started({"nap": {"kind": "sleep", "until": "${'so' + 'on'}", "next": "end"}})
    assert only(scenario.last, e.WorkflowFailed).error_class == "expression_error"


WAIT = {"kind": "wait", "event": "paid", "correlation": "${input.order}", "timeout": "1d", "next": "end"}


def test_a_wait_ends_with_the_event_of_its_type_and_correlation() -> None:
    scenario = started({"pay": {**WAIT, "catch": {"timeout": "broken"}}}, {"order": "o-1"}, deadline="2d")
    scenario.deliver("paid", {"amount": 1}, correlation="o-2")
    assert scenario.state.status == "waiting"
    scenario.deliver("paid", {"amount": 5}, correlation="o-1")
    assert only(scenario.last, e.EventReceived).wait_id == "pay.1"
    assert scenario.state.outputs["pay"] == {"amount": 5}


def test_an_event_that_comes_early_is_kept_and_handed_over_once() -> None:
    steps: dict[str, Any] = {
        "find": {"kind": "tool", "tool": "look", "next": "pay"},
        "pay": {**WAIT, "correlation": "", "next": "again"},
        "again": {**WAIT, "correlation": "", "next": "end"},
    }
    scenario = started(steps)
    scenario.deliver("paid", 1)
    assert only(scenario.last, e.EventReceived).wait_id == ""
    scenario.tool_result(scenario.take())
    assert scenario.state.outputs["pay"] == 1
    assert list(scenario.state.active) == ["again"], "one event ends one wait"


def test_a_wait_that_nobody_answers_times_out() -> None:
    scenario = started({"pay": {**WAIT, "catch": {"timeout": "broken"}}}, {"order": "o"}, deadline="2d")
    scenario.fire()
    assert only(scenario.last, e.StepFailed).error_class == "timeout"
    assert only(scenario.last, e.WorkflowFailed).error_class == "gave_up"


CALL = {"to": "${input.to}"}
APPROVED: dict[str, Any] = {
    "ask": {"kind": "approval", "tool": "send", "arguments": CALL, "roles": ["lead"], "timeout": "30m", "next": "go"},
    "go": {"kind": "tool", "tool": "send", "approved_by": "ask", "arguments": CALL, "next": "end"},
}


def test_an_approval_shows_the_exact_call_and_the_tool_step_makes_it() -> None:
    scenario = started(APPROVED, {"to": "x@y"})
    asked = only(scenario.last, e.ApprovalRequested)
    assert (asked.tool, asked.arguments, asked.expires_at_ms) == ("send", {"to": "x@y"}, START_MS + HOUR_MS // 2)
    scenario.decide()
    requested = only(scenario.last, e.ToolCallRequested)
    assert (requested.action_hash, requested.approval_id) == (asked.action_hash, asked.approval_id)
    output: Any = scenario.state.outputs["ask"]
    assert output["reviewer"] == "bea"


def test_a_call_that_differs_from_the_approved_one_is_not_made() -> None:
    other = {**APPROVED, "go": {**APPROVED["go"], "arguments": {"to": "somebody@else"}}}
    scenario = started(other, {"to": "x@y"})
    scenario.decide()
    assert only(scenario.last, e.StepFailed).error_class == "approval_missing"
    assert not scenario.tasks


def test_an_approval_is_used_once() -> None:
    twice = {**APPROVED, "go": {**APPROVED["go"], "next": "more"}, "more": {**APPROVED["go"], "next": "end"}}
    scenario = started(twice, {"to": "x@y"})
    scenario.decide()
    scenario.tool_result(scenario.take(), "sent")
    assert only(scenario.last, e.StepFailed).error_class == "approval_missing"


def test_a_rejected_approval_is_an_error_that_can_be_caught() -> None:
    steps = {**APPROVED, "ask": {**APPROVED["ask"], "catch": {"rejected": "broken"}}}
    scenario = started(steps, {"to": "x@y"})
    scenario.decide("reject")
    assert only(scenario.last, e.StepFailed).next_step == "broken"


def test_silence_never_approves() -> None:
    scenario = started(APPROVED, {"to": "x@y"})
    scenario.fire()
    assert scenario.names == ["TimerFired", "ApprovalExpired", "StepFailed", "WorkflowFailed"]


def test_an_expression_that_fails_at_run_time_is_an_error_of_its_step() -> None:
    steps = {"set": {"kind": "assign", "set": {"a": "${input.missing}"}, "next": "end"}}
    assert only(started(steps).last, e.WorkflowFailed).error_class == "expression_error"


def test_a_loop_ends_at_the_step_limit() -> None:
    steps: dict[str, Any] = {
        "again": {"kind": "assign", "set": {"a": 1}, "next": "pick"},
        "pick": {"kind": "choice", "branches": [{"when": "true", "next": "again"}], "default": "end"},
    }
    scenario = started(steps, max_steps=50)
    assert only(scenario.last, e.WorkflowFailed).error_class == "step_limit"
    assert sum(scenario.state.visits.values()) == 50
