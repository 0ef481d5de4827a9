"""What operators do to a workflow: pause, resume, retry from a step, skip, terminate, resolve. All is recorded."""

from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import tasks as t
from support.scenario import START_MS, Scenario, answer, define, only

Steps = dict[str, Any]
HOUR_MS = 3_600_000
CALL: Steps = {"kind": "tool", "tool": "send", "retry": {"max_attempts": 1}, "next": "end", "catch": {"*": "broken"}}


def started(steps: Steps, **more: Any) -> Scenario:
    scenario = Scenario(define(steps, **more))
    scenario.start()
    return scenario


def refusal(events: list[Any]) -> str:
    code: str = only(events, e.InputRejected).code
    return code


def test_a_paused_workflow_records_what_happens_and_goes_on_with_it_when_resumed() -> None:
    scenario = started({"go": CALL})
    task = scenario.take()
    scenario.pause()
    assert scenario.state.status == "paused"
    assert [type(event) for event in scenario.tool_result(task, "sent")] == [e.ToolCallCompleted]
    assert scenario.state.status == "paused"
    scenario.resume()
    assert scenario.names[:2] == ["WorkflowResumed", "StepCompleted"]
    assert scenario.state.outputs["go"] == "sent"
    assert scenario.state.status == "completed"


def test_a_failure_and_a_models_answer_wait_for_the_resume_as_well() -> None:
    failed = started({"go": CALL})
    task = failed.take()
    failed.pause()
    failed.failure(task, "tool_error")
    failed.resume()
    assert only(failed.last, e.StepFailed).error_class == "tool_error"

    think = {"kind": "agent", "instructions": "x", "tools": ["look"], "next": "end"}
    agent = started({"think": think})
    asked = agent.take()
    agent.pause()
    agent.model_result(asked, answer(calls=[("look", {}), ("look", {})]))
    assert not agent.tasks
    agent.resume()
    one, two = agent.take(), agent.take()
    agent.tool_result(one, 1)
    agent.pause()
    agent.tool_result(two, 2)
    agent.resume()
    assert isinstance(agent.take(), t.RunModelCall)


def test_an_event_that_comes_during_a_pause_is_kept_for_its_wait() -> None:
    scenario = started({"hear": {"kind": "wait", "event": "told", "timeout": "1h", "next": "end"}})
    scenario.pause()
    scenario.deliver("told", {"n": 1})
    assert scenario.state.status == "paused"
    scenario.resume()
    assert scenario.state.outputs["hear"] == {"n": 1}
    assert scenario.state.status == "completed"


def test_nothing_is_asked_of_executors_during_a_pause_and_everything_owed_is_asked_afterwards() -> None:
    scenario = started({"go": {**CALL, "tool": "slow"}})
    task = scenario.take()
    scenario.pause()
    assert refusal(scenario.claim(task)) == "workflow_held"
    scenario.resume()
    assert scenario.take() == task


@pytest.mark.parametrize("why", ["workflow_held", "lease_held", "attempt_not_current"])
def test_who_claims_in_vain_is_told_so_by_a_stop_that_names_the_claim(why: str) -> None:
    """It may be waiting for a grant, with a slot that others could use."""
    scenario = started({"go": {**CALL, "tool": "pay"}})
    task = scenario.take()
    if why == "workflow_held":
        scenario.pause()
    elif why == "lease_held":
        scenario.claim(task, "x2")
    else:
        scenario.terminate()
    assert refusal(scenario.claim(task)) == why
    assert scenario.sent == [t.StopTask(effect_key=task.effect_key, attempt=1, reason=why)]
    assert scenario.causes == [f"input-{scenario.offset}"]


def test_a_steps_limit_stands_still_during_a_pause_and_the_deadline_does_not() -> None:
    scenario = started({"go": {**CALL, "timeout": "10m"}}, deadline="3h")
    scenario.pause()
    scenario.now_ms += HOUR_MS
    assert scenario.fire_now() == []
    scenario.resume()
    assert scenario.state.active["go"].timeout_at_ms == START_MS + HOUR_MS + 600_000
    assert scenario.state.deadline_at_ms == START_MS + 3 * HOUR_MS
    scenario.pause()
    scenario.now_ms += 3 * HOUR_MS
    scenario.fire_now()
    assert scenario.names[:2] == ["TimerFired", "DeadlineReached"]


def test_people_cannot_decide_while_a_workflow_is_held() -> None:
    ask = {"kind": "approval", "tool": "send", "roles": ["lead"], "timeout": "1h", "next": "end"}
    scenario = started({"ask": ask})
    scenario.pause()
    assert refusal(scenario.decide()) == "workflow_held"
    scenario.resume()
    scenario.decide()
    assert scenario.state.status == "completed"


def test_only_what_runs_can_be_paused_and_only_what_is_held_resumed() -> None:
    scenario = started({"go": CALL})
    assert refusal(scenario.resume()) == "not_held"
    scenario.pause()
    assert refusal(scenario.pause()) == "workflow_held"
    scenario.cancel()
    scenario.tool_result(scenario.take(), "sent")
    assert scenario.state.status == "cancelled"
    late = (scenario.pause(), scenario.resume(), scenario.retry("go"), scenario.skip("go"), scenario.terminate())
    assert {refusal(refused) for refused in late} == {"workflow_finished"}


def exhausted() -> Scenario:
    """A workflow that is blocked because its call failed as often as it may."""
    retry = {"max_attempts": 1, "exhausted": "block"}
    scenario = started({"first": {"kind": "assign", "set": {"n": 1}, "next": "go"}, "go": {**CALL, "retry": retry}})
    scenario.failure(scenario.take(), "tool_error")
    assert (scenario.state.status, scenario.state.error_class) == ("blocked", "tool_error")
    return scenario


def test_attempts_that_are_used_up_may_block_instead_of_fail() -> None:
    scenario = exhausted()
    scenario.retry("go")
    assert scenario.state.status == "running"
    task = scenario.take()
    assert task.effect_key == "acme/w-1/go.2/0/0", "another visit is another effect: the last one never happened"
    scenario.tool_result(task, "sent")
    assert scenario.state.status == "completed"


def test_a_step_can_be_ended_in_its_stead() -> None:
    scenario = exhausted()
    scenario.skip("go", {"by": "hand"})
    skipped = only(scenario.last, e.StepSkipped)
    assert (skipped.next_step, skipped.reason) == ("end", "done by hand")
    assert scenario.state.outputs["go"] == {"by": "hand"}
    assert scenario.state.status == "completed"


def test_a_workflow_can_be_sent_back_to_any_step_of_a_place_that_is_open() -> None:
    scenario = started(
        {
            "one": {"kind": "assign", "set": {"n": 1}, "next": "hear"},
            "hear": {"kind": "wait", "event": "told", "timeout": "1h", "next": "end"},
        }
    )
    scenario.retry("one")
    assert scenario.names == [
        "StepRetried",
        "StepCancelled",
        "StepStarted",
        "StepCompleted",
        "StepStarted",
        "WaitStarted",
    ]
    assert scenario.state.visits == {"one": 2, "hear": 2}


def in_branches() -> Scenario:
    steps: Steps = {
        "both": {"kind": "parallel", "branches": {"a": "a", "b": "b"}, "timeout": "1h", "next": "end"},
        "a": {"kind": "wait", "event": "a", "timeout": "1h", "next": "a_end"},
        "a_end": {"kind": "succeed"},
        "b": {"kind": "wait", "event": "b", "timeout": "1h", "next": "b_end"},
        "b_end": {"kind": "succeed"},
    }
    return started(steps)


def test_a_step_of_a_branch_is_retried_within_its_branch() -> None:
    scenario = in_branches()
    scenario.retry("a")
    assert scenario.state.visits == {"both": 1, "a": 2, "b": 1}
    scenario.deliver("a")
    assert refusal(scenario.retry("a")) == "step_out_of_reach"
    scenario.deliver("b")
    assert scenario.state.status == "completed"


def test_what_makes_no_sense_is_refused_with_a_reason() -> None:
    scenario = in_branches()
    assert refusal(scenario.retry("nowhere")) == "step_unknown"
    assert refusal(scenario.skip("a_end")) == "step_not_active"
    call = started({"go": CALL})
    assert refusal(call.retry("go")) == "call_open"
    assert refusal(call.skip("go")) == "call_open"
    assert refusal(call.resolve("acme/w-1/go.1/0/0", "done")) == "call_not_unknown"
    assert refusal(call.resolve("acme/w-1/go.1/0/0", "perhaps")) == "outcome_invalid"


def test_terminate_ends_a_workflow_with_whatever_is_under_way() -> None:
    scenario = started({"go": {**CALL, "tool": "pay"}})
    scenario.claim(scenario.take())
    scenario.terminate()
    ended = only(scenario.last, e.WorkflowCancelled)
    assert (ended.terminated, ended.reason) == (True, "at once")
    assert scenario.state.status == "cancelled"


def unknown(tool: str = "pay") -> tuple[Scenario, str]:
    scenario = started({"go": {**CALL, "tool": tool}})
    task = scenario.take()
    scenario.failure(task, "timeout", outcome_unknown=True)
    return scenario, task.effect_key


RESOLUTIONS = [("done", "completed"), ("not_done", "failed")]


@pytest.mark.parametrize(("outcome", "status"), RESOLUTIONS)
def test_a_person_settles_an_outcome_that_nobody_knew(outcome: str, status: str) -> None:
    scenario, key = unknown()
    assert refusal(scenario.resume()) == "call_unknown"
    assert refusal(scenario.retry("go")) == "call_open"
    assert refusal(scenario.resolve(key, outcome, kind="service")) == "reviewer_not_a_person"
    scenario.resolve(key, outcome, "paid")
    assert only(scenario.last, e.ToolOutcomeResolved).evidence == "I looked"
    assert scenario.state.status == status


def test_a_person_may_say_that_a_call_can_be_made_again() -> None:
    scenario, key = unknown()
    scenario.resolve(key, "retry")
    task = scenario.take()
    assert (task.effect_key, task.attempt) == (key, 2)


def test_a_status_that_no_event_says_by_itself_is_said() -> None:
    """Tables and status topics take the status from single events."""
    settled, key = unknown()
    settled.resolve(key, "retry")
    assert settled.names == ["ToolOutcomeResolved", "ToolCallRequested", "StatusChanged"]
    assert only(settled.last, e.StatusChanged).status == "running"

    paused = started({"go": CALL})
    paused.pause()
    paused.cancel()
    assert (paused.names, paused.state.status) == (["ClosingStarted", "StatusChanged"], "running")


def test_traces_of_a_call_are_looked_for_before_anybody_is_asked() -> None:
    scenario, key = unknown("post")
    assert scenario.names == ["ToolOutcomeUnknown", "ToolLookupRequested"]
    search = scenario.take()
    assert isinstance(search, t.LookUpEffect)
    assert (search.effect_key, search.lookup) == (key, 1)
    scenario.lookup(search, found=True, result="posted")
    assert scenario.state.outputs["go"] == "posted"
    assert scenario.state.status == "completed"


def test_a_call_without_a_trace_is_made_again_after_the_visibility_lag() -> None:
    scenario, key = unknown("post")
    scenario.lookup(scenario.take(), found=False)
    again = scenario.take()
    assert (again.lookup, again.not_before_at_ms) == (2, START_MS + 20_000)
    scenario.now_ms = again.not_before_at_ms
    scenario.lookup(again, found=False)
    task = scenario.take()
    assert isinstance(task, t.RunToolCall)
    assert (task.effect_key, task.attempt) == (key, 2)


def test_a_search_that_comes_back_before_traces_can_be_seen_says_nothing_unless_it_found_one() -> None:
    """Only the broker's clock decides: that of an executor may be fast."""
    scenario, _key = unknown("post")
    scenario.lookup(scenario.take(), found=False)
    early = scenario.take()
    scenario.now_ms += 19_999
    assert refusal(scenario.lookup(early, found=False)) == "lookup_too_early"
    scenario.fire()
    assert scenario.take().lookup == 3, "the search is asked for again, like one that was lost"

    lucky, _key = unknown("post")
    lucky.lookup(lucky.take(), found=False)
    lucky.lookup(lucky.take(), found=True, result="posted")
    assert lucky.state.status == "completed"


def test_a_search_for_an_earlier_attempt_says_nothing_about_a_later_one() -> None:
    scenario, key = unknown("post")
    first = scenario.take()
    scenario.lookup(first, found=False)
    second = scenario.take()
    scenario.now_ms = second.not_before_at_ms
    scenario.lookup(second, found=False)
    task = scenario.take()
    assert (task.effect_key, task.attempt) == (key, 2)
    scenario.failure(task, "timeout", outcome_unknown=True)
    again = scenario.take()
    assert (again.attempt, again.lookup) == (2, 1)
    assert refusal(scenario.lookup(first, found=False)) == "attempt_not_current"
    scenario.lookup(again, found=True, result="posted")
    assert scenario.state.outputs["go"] == "posted"


def test_a_search_that_is_lost_is_asked_for_again_and_one_that_fails_goes_to_a_person() -> None:
    scenario, key = unknown("post")
    first = scenario.take()
    scenario.fire()
    second = scenario.take()
    assert second.lookup == 2
    assert refusal(scenario.lookup(first, found=True)) == "attempt_not_current"
    scenario.lookup(second, found=False, error_class="unavailable")
    assert scenario.state.status == "blocked"
    scenario.resolve(key, "done", "posted")
    assert scenario.state.outputs["go"] == "posted"


def test_a_claimed_call_is_given_up_at_its_time_limit_however_often_its_lease_is_extended() -> None:
    scenario = started({"go": {**CALL, "tool": "slow", "timeout": "1h"}})
    task = scenario.take()
    scenario.claim(task)
    call = scenario.state.active["go"].calls[task.effect_key]
    assert call.limit_at_ms == START_MS + 65_000
    for _ in range(4):
        scenario.now_ms += 20_000
        if scenario.now_ms < call.limit_at_ms:
            scenario.extend(task)
    scenario.fire_now()
    assert only(scenario.last, e.ToolOutcomeUnknown).error_message == "x1 took too long"


def test_retries_have_a_pace_of_their_own_by_error_and_an_end_in_time() -> None:
    retry = {
        "max_attempts": 9,
        "jitter": 0,
        "per_error": {"rate_limited": {"max_attempts": 2, "initial": "1m"}},
        "max_elapsed": "10s",
    }
    limited = started({"go": {**CALL, "tool": "look", "retry": {**retry, "max_elapsed": 0}}})
    limited.failure(limited.take(), "rate_limited")
    assert only(limited.last, e.ToolCallFailed).retry_at_ms == START_MS + 60_000
    call = next(iter(limited.state.active["go"].calls.values()))
    assert (call.attempt, call.error_class, call.error_message) == (1, "rate_limited", "it broke")
    limited.fire()
    limited.failure(limited.take(), "rate_limited")
    assert only(limited.last, e.ToolCallFailed).retry_at_ms == 0

    late = started({"go": {**CALL, "tool": "look", "retry": retry}})
    waits = []
    while late.tasks:
        late.failure(late.take(), "unavailable")
        waits.append(only(late.last, e.ToolCallFailed).retry_at_ms - late.now_ms)
        if waits[-1] > 0:
            late.fire()
    assert [wait for wait in waits if wait > 0] == [1_000, 2_000, 4_000]


LIMITS = [
    # which limit, its policy, the error, the status that follows
    ("deadline", "fail", "deadline_exceeded", "failed"),
    ("deadline", "compensate", "deadline_exceeded", "failed"),
    ("deadline", "escalate", "deadline_exceeded", "blocked"),
    ("idle_timeout", "fail", "idle_timeout", "failed"),
    ("idle_timeout", "escalate", "idle_timeout", "blocked"),
]


@pytest.mark.parametrize(("limit", "policy", "error", "status"), LIMITS)
def test_what_follows_a_limit_of_the_whole_workflow_is_declared(
    limit: str, policy: str, error: str, status: str
) -> None:
    on = "on_idle" if limit == "idle_timeout" else "on_deadline"
    hear = {"kind": "wait", "event": "told", "timeout": "9d", "next": "end"}
    scenario = started({"hear": hear}, **{"deadline": "5d", limit: "1h", on: policy})
    scenario.fire()
    assert scenario.now_ms == START_MS + HOUR_MS
    assert (scenario.state.status, scenario.state.error_class) == (status, error)


def test_somebody_to_whom_a_deadline_was_escalated_may_extend_it() -> None:
    hear = {"kind": "wait", "event": "told", "timeout": "9d", "next": "end"}
    scenario = started({"hear": hear}, deadline="1h", on_deadline="escalate")
    scenario.fire()
    assert scenario.fire_now() == []
    scenario.resume(extend_ms=HOUR_MS)
    assert scenario.state.deadline_at_ms == START_MS + 2 * HOUR_MS
    scenario.deliver("told")
    assert scenario.state.status == "completed"


def test_whatever_is_not_a_timer_keeps_a_workflow_from_being_idle() -> None:
    steps: Steps = {
        "one": {"kind": "wait", "event": "one", "timeout": "9d", "next": "nap"},
        "nap": {"kind": "sleep", "for": "50m", "next": "two"},
        "two": {"kind": "wait", "event": "two", "timeout": "9d", "next": "end"},
    }
    scenario = started(steps, deadline="5d", idle_timeout="1h")
    scenario.now_ms += HOUR_MS // 2
    scenario.deliver("one")
    scenario.fire()
    assert "two" in scenario.state.active, "the sleep ended before the limit"
    scenario.fire()
    assert scenario.state.error_class == "idle_timeout"
    assert scenario.now_ms == START_MS + HOUR_MS // 2 + HOUR_MS
