"""Attempts, leases, retries, unknown outcomes: one effect key, at most one accepted outcome."""

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import tasks as t
from support.scenario import START_MS, Scenario, answer, define, only


def calling(tool: str, **more: object) -> Scenario:
    scenario = Scenario(define({"go": {"kind": "tool", "tool": tool, "next": "end", **more}}))
    scenario.start()
    return scenario


def test_a_failure_worth_another_attempt_is_retried_after_a_growing_delay() -> None:
    scenario = calling("send", retry={"max_attempts": 3, "initial": "1s", "jitter": 0})
    delays = []
    for attempt in (1, 2):
        task = scenario.take()
        assert task.attempt == attempt
        scenario.failure(task)
        delays.append(only(scenario.last, e.ToolCallFailed).retry_at_ms - scenario.now_ms)
        scenario.fire()
        assert scenario.names == ["TimerFired", "ToolCallRequested"]
    assert delays == [1_000, 2_000]
    scenario.failure(scenario.take())
    assert only(scenario.last, e.ToolCallFailed).retry_at_ms == 0
    assert scenario.state.status == "failed"


def test_all_attempts_of_a_call_have_the_same_effect_key() -> None:
    scenario = calling("send")
    first = scenario.take()
    scenario.failure(first)
    scenario.fire()
    assert scenario.take().effect_key == first.effect_key


def test_retry_after_is_honoured() -> None:
    scenario = calling("look", retry={"initial": "1s", "jitter": 0})
    scenario.failure(scenario.take(), "rate_limited", retry_after_ms=90_000)
    assert only(scenario.last, e.ToolCallFailed).retry_at_ms == START_MS + 90_000


def test_a_failure_that_will_not_pass_is_not_retried() -> None:
    scenario = calling("look", catch={"tool_error": "broken"})
    scenario.failure(scenario.take(), "tool_error")
    assert only(scenario.last, e.StepFailed).next_step == "broken"


def test_an_executor_may_say_that_a_failure_is_worth_another_attempt() -> None:
    scenario = calling("look")
    scenario.failure(scenario.take(), "tool_error", retryable=True)
    assert only(scenario.last, e.ToolCallFailed).retry_at_ms > 0


@pytest.mark.parametrize("tool", ["pay", "file"])
def test_a_call_that_must_not_be_repeated_becomes_unknown_and_waits_for_a_person(tool: str) -> None:
    scenario = calling(tool)
    scenario.failure(scenario.take(), "timeout", outcome_unknown=True)
    assert scenario.names == ["ToolOutcomeUnknown", "WorkflowBlocked"]
    assert scenario.state.status == "blocked"
    assert not scenario.tasks
    scenario.cancel()
    assert scenario.state.status == "blocked", "not even a cancel makes an effect known"
    scenario.resolve("acme/w-1/go.1/0/0", "not_done")
    assert scenario.state.status == "cancelled"


def test_a_keyed_call_with_an_unknown_outcome_is_made_again_with_its_key() -> None:
    scenario = calling("send")
    scenario.failure(scenario.take(), "tool_error", outcome_unknown=True)
    scenario.fire()
    assert scenario.take().attempt == 2


def test_a_keyed_call_that_stays_unknown_to_the_end_is_never_called_failed() -> None:
    scenario = calling("send", retry={"max_attempts": 1})
    scenario.failure(scenario.take(), "timeout", outcome_unknown=True)
    assert scenario.names == ["ToolOutcomeUnknown", "WorkflowBlocked"]


def test_a_keyed_call_of_unknown_outcome_is_made_again_only_while_its_key_lives() -> None:
    scenario = calling("brief", retry={"max_attempts": 9, "initial": "15s", "jitter": 0})
    task = scenario.take()
    assert task.deadline_at_ms == START_MS + 20_000, "it is not begun after that"
    scenario.failure(task, outcome_unknown=True)
    scenario.fire()
    again = scenario.take()
    assert (again.effect_key, again.attempt) == (task.effect_key, 2)
    scenario.failure(again, outcome_unknown=True)
    assert scenario.names == ["ToolOutcomeUnknown", "WorkflowBlocked"]


def test_a_keyed_call_whose_key_is_forgotten_is_searched_for_if_it_can_be() -> None:
    scenario = calling("trace", retry={"max_attempts": 9, "initial": "30s", "jitter": 0})
    scenario.failure(scenario.take(), outcome_unknown=True)
    assert scenario.names == ["ToolOutcomeUnknown", "ToolLookupRequested"]


def test_a_keyed_call_that_certainly_did_nothing_is_made_again_whatever_became_of_its_key() -> None:
    scenario = calling("brief", retry={"max_attempts": 2, "initial": "30s", "jitter": 0})
    scenario.failure(scenario.take())
    scenario.fire()
    assert scenario.take().attempt == 2


@pytest.mark.parametrize("tool", ["slow", "pay"])
def test_a_failure_that_somebody_else_than_the_holder_reports_changes_nothing(tool: str) -> None:
    scenario = calling(tool)
    task = scenario.take()
    scenario.claim(task, "x1")
    scenario.failure(task, "timeout", executor="x2")
    assert only(scenario.last, e.InputRejected).code == "lease_held"
    scenario.tool_result(task, "done", executor="x1")
    assert scenario.state.status == "completed"


def test_the_first_claim_of_an_attempt_wins() -> None:
    scenario = calling("slow")
    task = scenario.take()
    scenario.claim(task, "x1")
    scenario.claim(task, "x2")
    assert only(scenario.last, e.InputRejected).code == "lease_held"
    assert scenario.state.active["go"].calls[task.effect_key].executor_id == "x1"


def test_a_claim_of_a_call_that_must_not_happen_twice_is_granted_to_the_winner() -> None:
    scenario = calling("pay")
    task = scenario.take()
    scenario.claim(task, "x1")
    assert scenario.sent == [t.GrantTask(effect_key=task.effect_key, attempt=1, executor_id="x1")]
    scenario.claim(task, "x2")
    assert not [r for r in scenario.sent if isinstance(r, t.GrantTask)]


def test_a_lease_that_ends_hands_the_call_to_the_next_attempt() -> None:
    scenario = calling("slow")
    task = scenario.take()
    scenario.claim(task)
    scenario.now_ms += 30_000
    scenario.fire_now()
    assert only(scenario.last, e.ToolCallFailed).error_class == "lease_expired"
    scenario.fire()
    assert scenario.take().attempt == 2


def test_a_heartbeat_extends_the_lease() -> None:
    from holdfast.schemas.reports import ExtendLease

    scenario = calling("slow")
    task = scenario.take()
    scenario.claim(task)
    scenario.now_ms += 20_000
    scenario.feed(
        ExtendLease(effect_key=task.effect_key, attempt=1, executor_id="x1", lease_ms=30_000),
        actor=("executor", "x1"),
    )
    assert only(scenario.last, e.LeaseExtended).lease_until_ms == START_MS + 50_000
    scenario.now_ms += 15_000
    assert scenario.fire_now() == []


def test_a_task_given_back_is_issued_again_at_once() -> None:
    from holdfast.schemas.reports import ReleaseTask

    scenario = calling("slow")
    task = scenario.take()
    scenario.claim(task)
    scenario.feed(ReleaseTask(effect_key=task.effect_key, attempt=1, executor_id="x1", reason="stopping"))
    assert scenario.names == ["TaskReleased", "ToolCallRequested"]
    assert scenario.take().attempt == 2


def test_the_lease_of_a_once_call_that_ends_leaves_its_outcome_unknown() -> None:
    scenario = calling("pay")
    scenario.claim(scenario.take())
    scenario.now_ms += 30_000
    scenario.fire_now()
    assert scenario.names == ["TimerFired", "ToolOutcomeUnknown", "WorkflowBlocked"]


def test_the_result_of_an_earlier_attempt_is_recorded_as_late_and_changes_nothing() -> None:
    scenario = calling("send")
    first = scenario.take()
    scenario.failure(first)
    scenario.fire()
    before = scenario.state
    scenario.tool_result(first, "late")
    late = only(scenario.last, e.LateResultRecorded)
    assert (late.attempt, late.report["result"]) == (1, "late")
    assert scenario.state.active == before.active
    scenario.tool_result(scenario.take(), "in time")
    assert scenario.state.outputs["go"] == "in time"


def test_the_same_report_twice_is_folded_once() -> None:
    scenario = calling("send")
    task = scenario.take()
    scenario.tool_result(task, 1, input_id="report-1")
    sequence = scenario.row.sequence  # type: ignore[union-attr]
    assert scenario.tool_result(task, 1, input_id="report-1") == []
    assert scenario.row.sequence == sequence  # type: ignore[union-attr]


def test_a_model_call_is_retried_with_the_same_transcript() -> None:
    step = {"kind": "agent", "instructions": "x", "prompt": "y", "next": "end"}
    scenario = Scenario(define({"think": step}))
    scenario.start()
    first = scenario.take()
    scenario.failure(first, "unavailable", http_status=503)
    assert only(scenario.last, e.ModelCallFailed).http_status == 503
    scenario.fire()
    second = scenario.take()
    assert (second.attempt, second.messages) == (2, first.messages)
    assert only(scenario.last, e.ModelCallRequested).messages == []
    scenario.model_result(second, answer("done"))
    assert scenario.state.status == "completed"


def test_a_model_that_stays_away_fails_the_step_with_its_error() -> None:
    step = {"kind": "agent", "instructions": "x", "next": "end", "catch": {"permission_denied": "broken"}}
    scenario = Scenario(define({"think": step}))
    scenario.start()
    scenario.failure(scenario.take(), "permission_denied")
    assert only(scenario.last, e.StepFailed).next_step == "broken"


def test_a_task_says_how_urgent_it_is_and_what_limits_its_definition_declares_for_it() -> None:
    steps = {
        "go": {"kind": "tool", "tool": "look", "priority": 8, "next": "ask"},
        "ask": {"kind": "agent", "instructions": "x", "tools": ["send"], "next": "end"},
    }
    limits = {"tool": {"max_in_flight": 4}, "tool:look": {"requests": "10/s"}, "model": {"units": "100/min"}}
    scenario = Scenario(define(steps, priority=3, limits=limits))
    scenario.start()
    look = scenario.take()
    assert isinstance(look, t.RunToolCall)
    assert (look.priority, look.limits) == (
        8,
        {"tool,definition:test": {"max_in_flight": 4}, "tool:look,definition:test": {"requests": "10/s"}},
    )
    scenario.tool_result(look, {})
    ask = scenario.take()
    assert isinstance(ask, t.RunModelCall)
    assert (ask.priority, ask.limits) == (3, {"model,definition:test": {"units": "100/min"}})


def test_without_a_word_about_it_a_task_is_of_middle_priority_and_has_no_limits() -> None:
    task = calling("send").take()
    assert isinstance(task, t.RunToolCall)
    assert (task.priority, task.limits) == (5, None)
