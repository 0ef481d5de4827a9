"""How a workflow ends without its goal: what is under way is awaited, what was done is undone, the latest first."""

from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import tasks as t
from support.scenario import START_MS, Scenario, define, only

Steps = dict[str, Any]


def act(tool: str = "send", **more: Any) -> Steps:
    """A step whose effect can be undone: its result says what to undo."""
    return {
        "kind": "tool",
        "tool": tool,
        "retry": {"max_attempts": 1},
        "compensate": {"tool": "send", "arguments": {"undo": "${steps.book.output.id}"}, "retry": {"max_attempts": 1}},
        **more,
    }


def two_acts(**more: Any) -> Scenario:
    """A workflow that books, charges, and then waits."""
    undo = {"tool": "send", "arguments": {"refund": "${steps.charge.output.id}"}, "retry": {"max_attempts": 1}, **more}
    steps: Steps = {
        "book": act(next="charge"),
        "charge": {**act(next="hear"), "compensate": undo},
        "hear": {"kind": "wait", "event": "told", "timeout": "30m", "next": "end"},
    }
    scenario = Scenario(define(steps))
    scenario.start()
    return scenario


def both_done(**more: Any) -> Scenario:
    scenario = two_acts(**more)
    scenario.tool_result(scenario.take(), {"id": "b-1"})
    scenario.tool_result(scenario.take(), {"id": "c-1"})
    return scenario


def test_how_to_undo_an_effect_is_known_before_it_is_asked_for_and_bound_to_its_result() -> None:
    scenario = two_acts()
    assert scenario.names[-2:] == ["CompensationRegistered", "ToolCallRequested"]
    scenario.tool_result(scenario.take(), {"id": "b-1"})
    assert only(scenario.last, e.CompensationBound).arguments == {"undo": "b-1"}


def test_a_workflow_that_reaches_its_goal_undoes_nothing() -> None:
    scenario = both_done()
    scenario.deliver("told")
    assert scenario.state.status == "completed"
    assert not scenario.tasks


@pytest.mark.parametrize(("how", "ending"), [("cancel", "cancelled"), ("fail", "failed")])
def test_what_was_done_is_undone_in_reverse_order(how: str, ending: str) -> None:
    scenario = both_done()
    if how == "cancel":
        scenario.cancel()
    else:
        scenario.fire()
    assert scenario.state.status == "compensating"
    refund = scenario.take()
    assert (refund.effect_key, refund.arguments) == ("acme/w-1/charge~undo.1/0/0", {"refund": "c-1"})
    assert not scenario.tasks, "one at a time"
    scenario.tool_result(refund, "refunded")
    unbook = scenario.take()
    assert unbook.arguments == {"undo": "b-1"}
    scenario.tool_result(unbook, "unbooked")
    assert scenario.state.status == ending
    if how == "fail":
        assert scenario.state.error_class == "timeout"


def test_an_effect_that_never_happened_is_not_undone() -> None:
    scenario = two_acts()
    scenario.tool_result(scenario.take(), {"id": "b-1"})
    scenario.failure(scenario.take(), "tool_error")
    assert only(scenario.last, e.CompensationDropped).step == "charge"
    assert scenario.take().arguments == {"undo": "b-1"}


def test_a_call_that_is_under_way_is_awaited_and_then_undone() -> None:
    scenario = two_acts()
    task = scenario.take()
    scenario.cancel()
    closing = only(scenario.last, e.ClosingStarted)
    assert (closing.outcome, closing.settle_until_ms) == ("cancelled", START_MS + 30_000)
    assert not scenario.tasks
    scenario.tool_result(task, {"id": "b-1"})
    assert scenario.take().arguments == {"undo": "b-1"}


def test_a_call_that_comes_to_nothing_while_it_is_awaited_leaves_nothing_to_undo() -> None:
    scenario = two_acts()
    task = scenario.take()
    scenario.cancel()
    scenario.failure(task, "unavailable")
    assert scenario.state.status == "cancelled", "and it is not made again"


def test_a_call_that_does_not_come_back_in_time_goes_to_a_person() -> None:
    scenario = two_acts()
    task = scenario.take()
    scenario.cancel()
    scenario.fire()
    assert scenario.names == ["TimerFired", "ToolOutcomeUnknown", "WorkflowBlocked"]
    scenario.resolve(task.effect_key, "done", {"id": "b-9"})
    undo = scenario.take()
    assert undo.arguments == {"undo": "b-9"}
    scenario.tool_result(undo)
    assert scenario.state.status == "cancelled"


@pytest.mark.parametrize("tool", ["look", "pay"])
def test_what_cannot_have_happened_is_withdrawn_at_once(tool: str) -> None:
    """A read has no effect, and nobody makes a `once` call before its claim was granted."""
    scenario = Scenario(define({"go": {"kind": "tool", "tool": tool, "next": "end"}}))
    scenario.start()
    task = scenario.take()
    scenario.cancel()
    assert scenario.state.status == "cancelled"
    assert [body for body in scenario.sent if isinstance(body, t.StopTask)] == [
        t.StopTask(effect_key=task.effect_key, attempt=1, reason="withdrawn")
    ]


def test_a_result_that_comes_too_late_still_says_how_to_undo_it() -> None:
    """The step's limit passed, and the workflow went on without the call; then it turned out to have happened."""
    steps: Steps = {
        "book": act(next="end", timeout="1m", catch={"timeout": "hear"}),
        "hear": {"kind": "wait", "event": "told", "timeout": "30m", "next": "end"},
    }
    scenario = Scenario(define(steps))
    scenario.start()
    task = scenario.take()
    scenario.fire()
    scenario.tool_result(task, {"id": "b-1"})
    assert scenario.names == ["LateResultRecorded", "CompensationBound"]
    scenario.cancel()
    assert scenario.take().arguments == {"undo": "b-1"}


def test_what_cannot_be_undone_stops_the_workflow_and_says_what_is_and_what_is_not() -> None:
    scenario = both_done()
    scenario.cancel()
    scenario.tool_result(scenario.take())
    scenario.failure(scenario.take(), "tool_error")
    blocked = only(scenario.last, e.WorkflowBlocked)
    assert blocked.code == "compensation_failed"
    assert "undone: charge.1; not undone: book.1" in blocked.message
    assert scenario.state.status == "blocked"


def test_an_operator_has_it_tried_again_under_the_same_key() -> None:
    scenario = both_done()
    scenario.cancel()
    refund = scenario.take()
    scenario.failure(refund, "tool_error")
    scenario.retry("charge")
    again = scenario.take()
    assert (again.effect_key, again.attempt) == (refund.effect_key, 2)
    scenario.tool_result(again)
    scenario.tool_result(scenario.take())
    assert scenario.state.status == "cancelled"


def test_an_operator_says_that_it_was_undone_by_hand() -> None:
    scenario = both_done()
    scenario.cancel()
    scenario.failure(scenario.take(), "tool_error")
    scenario.skip("charge")
    scenario.tool_result(scenario.take())
    assert scenario.state.status == "cancelled"


def test_undoing_may_need_a_persons_word() -> None:
    scenario = both_done(roles=["lead"])
    scenario.cancel()
    asked = only(scenario.last, e.ApprovalRequested)
    assert (asked.tool, asked.arguments, asked.roles) == ("send", {"refund": "c-1"}, ("lead",))
    assert not scenario.tasks
    assert scenario.state.status == only(scenario.last, e.StatusChanged).status == "compensating"
    scenario.decide("approve")
    assert scenario.take().arguments == {"refund": "c-1"}


def test_a_second_word_on_what_was_allowed_to_be_undone_leads_to_nothing() -> None:
    scenario = both_done(roles=["lead"], retry={"max_attempts": 3})
    scenario.cancel()
    scenario.decide("approve")
    task = scenario.take()
    scenario.failure(task, retryable=True, outcome_unknown=True)
    scenario.decide("approve", who="cyd")
    assert only(scenario.last, e.InputRejected).code == "approval_not_open"
    assert not scenario.tasks


def test_a_person_who_is_asked_once_more_is_asked_another_question() -> None:
    scenario = both_done(roles=["lead"])
    scenario.cancel()
    first = only(scenario.last, e.ApprovalRequested)
    scenario.decide("reject")
    scenario.retry("charge")
    second = only(scenario.last, e.ApprovalRequested)
    assert second.approval_id != first.approval_id
    assert second.action_hash == first.action_hash
    scenario.decide("approve")
    assert scenario.take().arguments == {"refund": "c-1"}


def test_a_refusal_to_undo_and_silence_stop_the_workflow() -> None:
    refused = both_done(roles=["lead"])
    refused.cancel()
    refused.decide("reject")
    assert refused.state.status == "blocked"
    silent = both_done(roles=["lead"], timeout="1h")
    silent.cancel()
    silent.fire()
    assert silent.names[:2] == ["TimerFired", "ApprovalExpired"]
    assert silent.state.status == "blocked"


def test_an_undoing_that_runs_out_of_time_says_what_nobody_knows() -> None:
    scenario = both_done(tool="pay", timeout="5m")
    scenario.cancel()
    task = scenario.take()
    scenario.claim(task, lease_ms=600_000)
    scenario.now_ms += 300_000
    scenario.fire_now()
    assert "nobody knows whether pay took effect" in only(scenario.last, e.WorkflowBlocked).message


def test_a_closing_workflow_takes_no_more_inputs_that_would_lead_it_on() -> None:
    scenario = both_done()
    scenario.cancel()
    for refused in (scenario.deliver("told"), scenario.cancel(), scenario.pause(), scenario.retry("book")):
        assert only(refused, e.InputRejected).code == "workflow_closing"


def test_an_undoing_call_of_which_nobody_knows_the_outcome_is_for_a_person() -> None:
    steps: Steps = {
        "book": {**act(next="hear"), "compensate": {"tool": "pay", "arguments": {"undo": "${steps.book.output.id}"}}},
        "hear": {"kind": "wait", "event": "told", "timeout": "30m", "next": "end"},
    }
    scenario = Scenario(define(steps))
    scenario.start()
    scenario.tool_result(scenario.take(), {"id": "b-1"})
    scenario.cancel()
    undo = scenario.take()
    scenario.failure(undo, "timeout", outcome_unknown=True)
    assert scenario.state.status == "blocked"
    scenario.resolve(undo.effect_key, "done")
    assert scenario.state.status == "cancelled"


def test_a_person_settles_an_undoing_call_whose_traces_cannot_be_searched_for() -> None:
    scenario = both_done(tool="post")
    scenario.cancel()
    undo = scenario.take()
    scenario.failure(undo, "timeout", outcome_unknown=True)
    scenario.lookup(scenario.take(), found=False, error_class="unavailable")
    assert scenario.state.status == "blocked"
    scenario.resolve(undo.effect_key, "done")
    assert only(scenario.last, e.CompensationEnded).outcome == "completed"


def test_how_to_undo_an_effect_may_turn_out_to_be_unknown() -> None:
    scenario = two_acts()
    scenario.tool_result(scenario.take(), {"no_id": True})
    scenario.cancel()
    task = scenario.take()
    scenario.failure(task, "tool_error")
    assert scenario.state.status == "blocked"
    scenario.skip("book")
    assert scenario.state.status == "cancelled"


def test_what_nobody_knows_how_to_undo_is_not_tried_again() -> None:
    scenario = two_acts()
    scenario.tool_result(scenario.take(), {"no_id": True})
    scenario.cancel()
    scenario.failure(scenario.take(), "tool_error")
    assert only(scenario.retry("book"), e.InputRejected).code == "undo_unknown"
    assert not scenario.tasks


@pytest.mark.parametrize("act_of_somebody", [Scenario.retry, Scenario.skip])
def test_nothing_is_undone_by_hand_before_it_is_known_what_a_call_did(act_of_somebody: Any) -> None:
    """The engine would otherwise be undoing, with nothing to wait for but a call that nobody looks for any more."""
    undo = {"tool": "send", "arguments": {"refund": "${steps.charge.output.id}"}}
    scenario = Scenario(define({"charge": {**act(next="end", tool="pay"), "compensate": undo}}))
    scenario.start()
    task = scenario.take()
    scenario.claim(task)
    scenario.failure(task, outcome_unknown=True)
    scenario.cancel()
    assert only(act_of_somebody(scenario, "charge"), e.InputRejected).code == "call_open"
    assert scenario.state.status == "blocked"
    scenario.resolve(task.effect_key, "done", {"id": "c-1"})
    assert scenario.take().arguments == {"refund": "c-1"}


def test_a_loop_undoes_every_visit() -> None:
    steps: Steps = {
        "count": {"kind": "assign", "set": {"n": "${has(vars.n) ? vars.n + 1 : 1}"}, "next": "book"},
        "book": act(next="again"),
        "again": {"kind": "choice", "branches": [{"when": "vars.n < 3", "next": "count"}], "default": "broken"},
    }
    scenario = Scenario(define(steps))
    scenario.start()
    for number in range(3):
        scenario.tool_result(scenario.take(), {"id": number})
    undone = []
    while scenario.tasks:
        task = scenario.take()
        undone.append(task.arguments["undo"])
        scenario.tool_result(task)
    assert undone == [2, 1, 0]
    assert scenario.state.status == "failed"


@pytest.mark.parametrize("names", ["abc", "cba", "bca"])
def test_the_latest_effect_is_undone_first_whatever_the_steps_are_called(names: str) -> None:
    steps = {
        name: {
            **act(next=following),
            "compensate": {"tool": "send", "arguments": {"undo": name}, "retry": {"max_attempts": 1}},
        }
        for name, following in zip(names, [*names[1:], "hear"], strict=True)
    }
    hear = {"kind": "wait", "event": "x", "timeout": "1h", "next": "end"}
    scenario = Scenario(define({**steps, "hear": hear}))
    scenario.start()
    for _ in names:
        scenario.tool_result(scenario.take(), {"id": 1})
    scenario.cancel()
    undone = []
    while scenario.tasks:
        task = scenario.take()
        undone.append(task.arguments["undo"])
        scenario.tool_result(task)
    assert undone == list(reversed(names))


def price(**restore: Any) -> Scenario:
    """A workflow that reads a price, writes another, and then waits."""
    undo = {"tool": "send", "arguments": {"price": "${steps.peek.output}"}, "restore": {"read": "peek", **restore}}
    steps: Steps = {
        "peek": {"kind": "tool", "tool": "look", "arguments": {"sku": "${input.sku}"}, "next": "put"},
        "put": {**act(next="hear"), "arguments": {"price": 9}, "compensate": {**undo, "retry": {"max_attempts": 1}}},
        "hear": {"kind": "wait", "event": "told", "timeout": "30m", "next": "end"},
    }
    scenario = Scenario(define(steps))
    scenario.start({"sku": "s-1"})
    scenario.tool_result(scenario.take(), 5)
    scenario.tool_result(scenario.take(), 9)
    scenario.cancel()
    return scenario


@pytest.mark.parametrize("restore", [{}, {"written": 9}, {"written": "${steps.put.output}"}])
def test_a_prior_value_is_put_back_while_what_was_written_is_still_there(restore: Steps) -> None:
    scenario = price(**restore)
    reading = scenario.take()
    assert (reading.tool, reading.arguments) == ("look", {"sku": "s-1"})
    assert reading.effect_key == "acme/w-1/put~undo.1/0/1"
    scenario.tool_result(reading, 9)
    writing = scenario.take()
    assert (writing.tool, writing.arguments) == ("send", {"price": 5})
    scenario.tool_result(writing, 5)
    assert scenario.state.status == "cancelled"


def test_a_prior_value_that_is_there_again_is_left_as_it_is() -> None:
    scenario = price()
    scenario.tool_result(scenario.take(), 5)
    assert only(scenario.last, e.CompensationEnded).outcome == "completed"
    assert (scenario.state.status, scenario.tasks) == ("cancelled", [])


def test_a_value_that_somebody_else_has_changed_is_left_to_a_person() -> None:
    scenario = price()
    scenario.tool_result(scenario.take(), 7)
    blocked = only(scenario.last, e.WorkflowBlocked)
    assert (blocked.code, scenario.tasks) == ("compensation_failed", [])
    assert "look reads something else than put wrote" in blocked.message
    scenario.retry("put")
    scenario.tool_result(scenario.take(), 9)
    assert scenario.take().arguments == {"price": 5}, "tried again, it compares again"


def test_a_reading_that_fails_leaves_it_to_a_person() -> None:
    scenario = price()
    scenario.failure(scenario.take(), "tool_error")
    assert only(scenario.last, e.WorkflowBlocked).code == "compensation_failed"


def test_who_has_to_allow_putting_it_back_is_asked_first_and_then_it_is_compared() -> None:
    undo = {"tool": "send", "arguments": {"price": 5}, "roles": ["lead"], "restore": {"read": "peek"}}
    steps: Steps = {
        "peek": {"kind": "tool", "tool": "look", "next": "put"},
        "put": {**act(next="hear"), "compensate": undo},
        "hear": {"kind": "wait", "event": "told", "timeout": "30m", "next": "end"},
    }
    scenario = Scenario(define(steps))
    scenario.start()
    scenario.tool_result(scenario.take(), 5)
    scenario.tool_result(scenario.take(), 9)
    scenario.cancel()
    assert not scenario.tasks
    scenario.decide("approve")
    scenario.tool_result(scenario.take(), 9)
    asked = only(scenario.last, e.ToolCallRequested)
    assert asked.approval_id
    assert list(scenario.state.approvals.values())[-1].consumed_by == asked.effect_key
