"""Inputs that are refused, repeated or come at the wrong time."""

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import results as res
from holdfast.streams.core.early import EARLY_EVENTS_LIMIT
from holdfast.streams.core.evolve import SEEN_LIMIT
from support.scenario import Scenario, define, only

WAIT = {"kind": "wait", "event": "paid", "timeout": "30m", "next": "end"}
APPROVAL = {"kind": "approval", "tool": "send", "roles": ["lead"], "timeout": "30m", "next": "end"}


def waiting() -> Scenario:
    scenario = Scenario(define({"pay": WAIT}))
    scenario.start(input_id="start-1")
    return scenario


def asking() -> Scenario:
    scenario = Scenario(define({"ask": APPROVAL}))
    scenario.start()
    return scenario


def test_an_input_for_a_workflow_that_does_not_exist_is_refused_on_results() -> None:
    scenario = Scenario(define({"pay": WAIT}))
    scenario.deliver("paid")
    assert scenario.row is None
    assert only(scenario.sent, res.RequestRejected).code == "workflow_not_found"


def test_an_input_that_does_not_fit_the_schema_starts_nothing() -> None:
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
    scenario = Scenario(define({"pay": WAIT}, input=schema))
    scenario.start({"id": "seven"})
    refused = only(scenario.sent, res.RequestRejected)
    assert scenario.row is None
    assert refused.code == "input_invalid"
    assert "$.id" in refused.message


def test_a_workflow_id_is_used_once() -> None:
    scenario = waiting()
    scenario.start(input_id="start-2")
    assert only(scenario.last, e.InputRejected).code == "workflow_exists"
    assert only(scenario.sent, res.RequestRejected).request_id == "start-2"


def test_the_same_start_twice_changes_nothing() -> None:
    scenario = waiting()
    assert scenario.start(input_id="start-1") == []


def test_a_request_that_comes_again_after_many_reports_changes_nothing() -> None:
    """Ingress admits again what it had not committed when it was killed, however much was folded since."""
    count = 2 * SEEN_LIMIT
    names = [f"s{number}" for number in range(count)]
    steps = {
        name: {"kind": "tool", "tool": "look", "next": following}
        for name, following in zip(names, [*names[1:], "pay"], strict=True)
    }
    scenario = Scenario(define({**steps, "pay": WAIT}))
    scenario.start(input_id="start-1")
    scenario.deliver("paid", input_id="mail-1")
    for _ in range(count):
        scenario.tool_result(scenario.take())
    assert scenario.start(input_id="start-1") == []
    assert scenario.deliver("paid", input_id="mail-1") == []
    assert scenario.sent == []


def test_an_event_that_the_definition_does_not_name_is_refused() -> None:
    scenario = waiting()
    scenario.deliver("shipped")
    assert only(scenario.last, e.InputRejected).code == "event_not_expected"
    assert scenario.state.status == "waiting"


def test_the_same_event_twice_ends_one_wait() -> None:
    scenario = Scenario(define({"pay": {**WAIT, "next": "again"}, "again": WAIT}))
    scenario.start()
    scenario.deliver("paid", input_id="ev-1")
    assert scenario.deliver("paid", input_id="ev-1") == []
    assert list(scenario.state.active) == ["again"]


def test_events_that_nobody_waits_for_are_kept_up_to_a_limit() -> None:
    scenario = Scenario(define({"find": {"kind": "tool", "tool": "look", "next": "pay"}, "pay": WAIT}))
    scenario.start()
    for number in range(EARLY_EVENTS_LIMIT):
        scenario.deliver("paid", number)
    scenario.deliver("paid", "one too many")
    assert only(scenario.last, e.InputRejected).code == "event_buffer_full"


def test_a_payload_that_is_too_large_is_refused() -> None:
    scenario = waiting()
    scenario.deliver("paid", "x" * 70_000)
    assert only(scenario.last, e.InputRejected).code == "payload_too_large"


@pytest.mark.parametrize(
    ("decision", "code"),
    [
        ({"action_hash": "another"}, "approval_hash_mismatch"),
        ({"decision": "maybe"}, "decision_invalid"),
        ({"who": "ann"}, "self_approval"),
        ({"kind": "executor"}, "reviewer_not_a_person"),
    ],
)
def test_a_decision_that_is_not_the_reviewers_word_on_this_call_is_refused(decision: dict[str, str], code: str) -> None:
    scenario = asking()
    scenario.decide(**decision)
    assert only(scenario.last, e.InputRejected).code == code
    assert scenario.state.status == "waiting"


def test_a_second_decision_is_refused() -> None:
    scenario = Scenario(define({"ask": {**APPROVAL, "next": "pay"}, "pay": WAIT}))
    scenario.start()
    scenario.decide()
    scenario.decide("reject", who="carl")
    assert only(scenario.last, e.InputRejected).code == "approval_not_open"


def test_cancel_ends_a_workflow_and_everything_after_it_is_refused() -> None:
    scenario = waiting()
    scenario.cancel()
    assert scenario.state.status == "cancelled"
    for refused in (scenario.deliver("paid"), scenario.cancel()):
        assert only(refused, e.InputRejected).code == "workflow_finished"


def test_a_report_after_the_end_is_recorded_as_late() -> None:
    scenario = Scenario(define({"go": {"kind": "tool", "tool": "look", "next": "end"}}))
    scenario.start()
    task = scenario.take()
    scenario.cancel()
    scenario.tool_result(task, "seen after all")
    assert only(scenario.last, e.LateResultRecorded).report_type == "ReportToolResult"
    assert scenario.state.status == "cancelled"


def test_the_deadline_ends_a_workflow_wherever_it_is() -> None:
    scenario = Scenario(define({"pay": {**WAIT, "timeout": "9d"}}, deadline="1h"))
    scenario.start()
    scenario.fire()
    assert scenario.names == ["TimerFired", "DeadlineReached", "StepCancelled", "WorkflowFailed"]
    assert only(scenario.last, e.WorkflowFailed).error_class == "deadline_exceeded"


def test_a_step_that_takes_too_long_times_out() -> None:
    step = {"kind": "tool", "tool": "send", "timeout": "1m", "next": "end", "catch": {"timeout": "broken"}}
    scenario = Scenario(define({"go": step}))
    scenario.start()
    scenario.fire()
    assert only(scenario.last, e.StepFailed).next_step == "broken"


def test_a_state_that_outgrows_its_limit_fails_its_workflow() -> None:
    steps = {"find": {"kind": "tool", "tool": "look", "next": "end"}}
    scenario = Scenario(define(steps))
    scenario.start()
    scenario.tool_result(scenario.take(), "x" * 600_000)
    assert only(scenario.last, e.WorkflowFailed).error_class == "state_too_large"


def test_a_bug_in_the_fold_parks_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    import holdfast.streams.driver as driver

    scenario = waiting()

    def broken(*_args: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(driver, "decide", broken)
    scenario.deliver("paid")
    blocked = only(scenario.last, e.WorkflowBlocked)
    assert blocked.code == "internal_error"
    assert "ZeroDivisionError" in blocked.message
