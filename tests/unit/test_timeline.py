"""The story of a workflow, told from journals that the real driver made."""

import re
from collections.abc import Callable

import pytest

from holdfast.ops.matters import Matter, matters
from holdfast.ops.timeline import tell
from holdfast.ops.timeline_model import Approval, Call, Notice, Sleep, Timeline, Visit, Wait
from holdfast.schemas import requests as req
from support import stories
from support.scenario import Scenario, answer, define
from support.stories import text_of, visits

Play = Callable[[], Scenario]
SOON_MS = 5_000


def story_of(scenario: Scenario) -> Timeline:
    return stories.story_of(scenario.journal)


def agent(**more: object) -> dict[str, object]:
    output = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}
    return {"kind": "agent", "instructions": "do", "prompt": "now", "next": "end", "output": output, **more}


def a_loop_with_a_retry_a_tool_and_a_repair() -> Scenario:
    s = Scenario(define({"think": agent(tools=["look"], retry={"max_attempts": 2})}))
    s.start()
    task = s.take()
    s.claim(task)
    s.failure(task, "rate_limited", retryable=True, error_message="slow down")
    s.fire()
    task = s.take()
    s.claim(task)
    s.model_result(task, answer(calls=[("look", {"at": "sky"})]))
    s.tool_result(s.take(), {"seen": "stars"})
    task = s.take()
    s.claim(task)
    s.model_result(task, answer("not json"))
    task = s.take()
    s.claim(task)
    s.model_result(task, answer('{"x": 1}'))
    return s


def an_approval_that_is_given() -> Scenario:
    arguments = {"to": "a@b.c"}
    steps = {
        "ask": {
            "kind": "approval",
            "tool": "send",
            "arguments": arguments,
            "roles": ["lead", "chief"],
            "timeout": "1h",
            "next": "send",
        },
        "send": {"kind": "tool", "tool": "send", "arguments": arguments, "approved_by": "ask", "next": "end"},
    }
    s = Scenario(define(steps))
    s.start()
    s.decide(who="ann")  # refused: she started it
    s.now_ms += 60_000
    s.decide(who="bea")
    s.tool_result(s.take(), {"sent": True})
    return s


def an_approval_that_nobody_decides() -> Scenario:
    steps = {
        "ask": {
            "kind": "approval",
            "tool": "send",
            "roles": ["lead"],
            "timeout": "1h",
            "catch": {"timeout": "broken"},
            "next": "end",
        }
    }
    s = Scenario(define(steps))
    s.start()
    s.fire()
    return s


def a_wait_for_an_event_that_comes() -> Scenario:
    steps = {"reply": {"kind": "wait", "event": "said", "correlation": "T-1", "timeout": "1h", "next": "end"}}
    s = Scenario(define(steps))
    s.start()
    s.now_ms += SOON_MS
    s.deliver("said", {"text": "yes"}, "T-1", "mail-1")
    return s


def a_wait_for_an_event_that_came_before() -> Scenario:
    wait = {"kind": "wait", "event": "said", "timeout": "1h", "next": "end"}
    s = Scenario(define({"nap": {"kind": "sleep", "for": "10s", "next": "reply"}, "reply": wait}))
    s.start()
    s.deliver("said", {"text": "yes"})
    s.fire()
    return s


def a_payment_whose_outcome_nobody_knows() -> Scenario:
    s = Scenario(define({"pay": {"kind": "tool", "tool": "pay", "next": "end"}}))
    s.start()
    task = s.take()
    s.claim(task)
    s.failure(task, "unavailable", outcome_unknown=True, error_message="the line went dead")
    return s


def a_failure_that_is_caught_and_a_second_visit() -> Scenario:
    steps = {
        "try_it": {
            "kind": "tool",
            "tool": "look",
            "retry": {"max_attempts": 1},
            "catch": {"*": "pause"},
            "next": "end",
        },
        "pause": {"kind": "sleep", "for": "10s", "next": "try_it"},
    }
    s = Scenario(define(steps))
    s.start()
    s.failure(s.take(), "unavailable")
    s.fire()
    s.tool_result(s.take(), {})
    return s


def a_cancellation() -> Scenario:
    s = Scenario(define({"reply": {"kind": "wait", "event": "said", "timeout": "1h", "next": "end"}}))
    s.start()
    s.cancel()
    return s


def a_lease_that_runs_out_and_a_late_report() -> Scenario:
    s = Scenario(define({"slow": {"kind": "tool", "tool": "slow", "next": "end"}}))
    s.start()
    task = s.take()
    s.claim(task)
    s.fire()
    s.fire()
    s.tool_result(task, {"too": "late"})
    s.tool_result(s.take(), {}, executor="x2")
    return s


def a_pause_and_a_way_on() -> Scenario:
    s = Scenario(define({"reply": {"kind": "wait", "event": "said", "timeout": "1h", "next": "end"}}))
    s.start()
    s.feed(req.PauseWorkflow(reason="moving house"), actor=("person", "mia"))
    s.deliver("said", {"text": "yes"})
    s.feed(req.ResumeWorkflow(reason="moved", extend_ms=0), actor=("person", "mia"))
    return s


def an_effect_that_is_undone() -> Scenario:
    undo = {"tool": "send", "arguments": {"id": "${steps.book.output.id}"}}
    book = {"kind": "tool", "tool": "send", "compensate": undo, "next": "reply"}
    wait = {"kind": "wait", "event": "said", "timeout": "1h", "next": "end"}
    s = Scenario(define({"book": book, "reply": wait}))
    s.start()
    s.tool_result(s.take(), {"id": "b-1"})
    s.cancel()
    s.tool_result(s.take())
    return s


def a_step_that_is_skipped_and_one_that_is_sent_back() -> Scenario:
    look = {"kind": "tool", "tool": "look", "next": "reply"}
    s = Scenario(define({"look": look, "reply": {"kind": "wait", "event": "said", "timeout": "1h", "next": "end"}}))
    s.start()
    s.feed(req.SkipStep(step="look", output={"seen": 1}, reason="looked myself"), actor=("person", "mia"))
    s.feed(req.RetryStep(step="look", reason="look again"), actor=("person", "mia"))
    return s


def a_payment_that_somebody_found() -> Scenario:
    s = a_payment_whose_outcome_nobody_knows()
    (call,) = next(iter(s.state.active.values())).calls.values()
    s.feed(
        req.ResolveCall(effect_key=call.effect_key, outcome="done", result={"paid": 1}, reason="it is in the books"),
        actor=("person", "mia"),
    )
    return s


PLAYS: tuple[Play, ...] = (
    a_loop_with_a_retry_a_tool_and_a_repair,
    an_approval_that_is_given,
    an_approval_that_nobody_decides,
    a_wait_for_an_event_that_comes,
    a_wait_for_an_event_that_came_before,
    a_payment_whose_outcome_nobody_knows,
    a_failure_that_is_caught_and_a_second_visit,
    a_cancellation,
    a_lease_that_runs_out_and_a_late_report,
    a_pause_and_a_way_on,
    an_effect_that_is_undone,
    a_step_that_is_skipped_and_one_that_is_sent_back,
    a_payment_that_somebody_found,
)
every_play = pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)


@every_play
def test_the_story_has_the_status_and_the_open_steps_of_the_engines_own_fold(play: Play) -> None:
    stories.assert_true_to_the_fold(play().journal)


@every_play
def test_after_each_decision_a_workflow_has_ended_or_says_what_it_waits_for(play: Play) -> None:
    stories.assert_says_what_is_waited_for(play().journal)


@every_play
def test_every_prefix_of_a_journal_can_be_shown_at_any_width(play: Play) -> None:
    scenario = play()
    stories.assert_can_be_shown(scenario.journal, scenario.now_ms)


def test_a_model_loop_shows_attempts_answers_and_why_an_answer_was_not_accepted() -> None:
    scenario = a_loop_with_a_retry_a_tool_and_a_repair()
    timeline = story_of(scenario)
    first, tool, rejected, last = visits(timeline)["think"].items

    assert isinstance(first, Call)
    assert [(attempt.status, attempt.error_class) for attempt in first.attempts] == [
        ("failed", "rate_limited"),
        ("completed", ""),
    ]
    assert first.attempts[0].executor_id == "x1"
    assert first.attempts[0].retry_at_ms is not None
    assert (first.provider, first.scripted, first.input_tokens, first.cost_microusd) == ("scripted", True, 10, 7)
    assert isinstance(tool, Call)
    assert (tool.kind, tool.name, tool.effect, tool.arguments) == ("tool", "look", "read", {"at": "sky"})
    assert isinstance(rejected, Call)
    assert any("not JSON" in reason for reason in rejected.rejections)
    assert isinstance(last, Call)
    assert not last.rejections
    # Every paid answer counts, the refused one too.
    assert (timeline.model_calls, timeline.scripted_model_calls, timeline.tool_calls) == (3, 3, 1)
    assert (timeline.input_tokens, timeline.output_tokens, timeline.cost_microusd) == (30, 15, 21)

    text = text_of(timeline, scenario.now_ms)
    assert "rate_limited: slow down; again at" in text
    assert "attempt 2" in text
    assert "scripted; 10 in, 5 out; $0.000007" in text
    assert "not accepted" in text
    assert "3 model calls (3 scripted), 30 tokens in, 15 out; 1 tool call" in text


def test_a_call_that_will_be_tried_again_says_when_and_after_what() -> None:
    s = Scenario(define({"look": {"kind": "tool", "tool": "look", "next": "end"}}))
    s.start()
    s.failure(s.take(), "unavailable", retryable=True, error_message="no route")

    timeline = story_of(s)

    (matter,) = matters(timeline)
    assert (matter.kind, matter.command) == ("retry", "holdfast explain unavailable")
    assert matter.until_ms is not None
    assert matter.until_ms > s.now_ms
    assert "unavailable: no route; again in" in text_of(timeline, s.now_ms)


def test_an_open_approval_is_shown_with_its_hash_and_the_command_that_shows_the_call() -> None:
    s = an_approval_that_is_given()
    asked = [m.meta.type for m in s.journal].index("ApprovalRequested") + 1
    timeline = tell(s.journal[:asked])
    assert timeline is not None
    (approval,) = visits(timeline)["ask"].items
    assert isinstance(approval, Approval)

    text = text_of(timeline, timeline.updated_at_ms)

    assert f"hash {approval.action_hash[:12]}; asks lead or chief; until" in text
    assert "(in 1h)" in text
    assert f"next  holdfast approvals show {approval.approval_id}" in text


def test_a_decided_approval_says_who_when_and_what_they_said() -> None:
    timeline = story_of(an_approval_that_is_given())
    (approval,) = visits(timeline)["ask"].items
    assert isinstance(approval, Approval)
    assert (approval.status, approval.decided_by, approval.comment) == ("approved", "bea", "seen")
    assert approval.decided_at_ms == approval.requested_at_ms + 60_000
    text = text_of(timeline, timeline.updated_at_ms)
    assert 'approved by bea: "seen"' in text
    assert "refused DecideApproval  from ann: self_approval:" in text


def test_an_approval_that_nobody_decides_expires() -> None:
    timeline = story_of(an_approval_that_nobody_decides())
    (approval,) = visits(timeline)["ask"].items
    assert isinstance(approval, Approval)
    assert (approval.status, approval.decided_by) == ("expired", "")
    assert visits(timeline)["ask"].next_step == "broken"
    assert timeline.status == "failed"


def test_an_event_that_came_before_its_wait_is_kept_and_then_received() -> None:
    timeline = story_of(a_wait_for_an_event_that_came_before())
    kept = [entry for entry in timeline.story if isinstance(entry, Notice)]
    assert [(notice.kind, notice.what) for notice in kept] == [("kept", "said")]
    (wait,) = visits(timeline)["reply"].items
    assert isinstance(wait, Wait)
    assert wait.status == "received"
    assert "had come before" in text_of(timeline, timeline.updated_at_ms)


def test_an_event_says_who_brought_it_and_how_long_it_took() -> None:
    timeline = story_of(a_wait_for_an_event_that_comes())
    (wait,) = visits(timeline)["reply"].items
    assert isinstance(wait, Wait)
    assert (wait.received_from, wait.source_id) == ("ann", "mail-1")
    assert "5.0 s    event said  T-1; received from ann" in text_of(timeline, timeline.updated_at_ms)


def test_an_unknown_outcome_shows_the_key_to_look_for_and_what_to_read() -> None:
    timeline = story_of(a_payment_whose_outcome_nobody_knows())
    (call,) = visits(timeline)["pay"].items
    assert isinstance(call, Call)
    assert call.last.status == "unknown"
    text = text_of(timeline, timeline.updated_at_ms, width=400)
    assert "blocked by  outcome_unknown" in text
    assert call.effect_key in text
    assert "next  holdfast explain outcome_unknown" in text
    assert "next  holdfast cancel w-1" in text


def test_only_codes_of_the_engine_are_offered_for_explanation() -> None:
    assert [matter.command for matter in matters(story_of(an_approval_that_nobody_decides()))] == [""]
    s = Scenario(define({"look": {"kind": "tool", "tool": "look", "retry": {"max_attempts": 1}, "next": "end"}}))
    s.start()
    s.failure(s.take(), "unavailable")
    assert [matter.command for matter in matters(story_of(s))] == ["holdfast explain unavailable"]


def test_a_step_that_is_entered_again_is_a_visit_of_its_own() -> None:
    timeline = story_of(a_failure_that_is_caught_and_a_second_visit())
    entered = [(v.step, v.visit, v.status) for v in timeline.story if isinstance(v, Visit)]
    assert entered == [
        ("try_it", 1, "failed"),
        ("pause", 1, "completed"),
        ("try_it", 2, "completed"),
        ("end", 1, "completed"),
    ]
    assert "try_it #2" in text_of(timeline, timeline.updated_at_ms)


def test_what_is_open_when_a_workflow_is_cancelled_has_ended_with_it() -> None:
    timeline = story_of(a_cancellation())
    (wait,) = visits(timeline)["reply"].items
    assert isinstance(wait, Wait)
    assert (timeline.status, visits(timeline)["reply"].status, wait.status) == ("cancelled", "cancelled", "ended")
    assert matters(timeline) == []
    assert "cancelled  not needed" in text_of(timeline, timeline.updated_at_ms)


def test_a_late_report_is_noted_and_counts_for_nothing() -> None:
    timeline = story_of(a_lease_that_runs_out_and_a_late_report())
    (call,) = visits(timeline)["slow"].items
    assert isinstance(call, Call)
    assert [(a.status, a.executor_id) for a in call.attempts] == [("failed", "x1"), ("completed", "x2")]
    assert call.attempts[0].error_class == "lease_expired"
    text = text_of(timeline, timeline.updated_at_ms)
    assert "30.0 s    tool slow    keyed {}; lease_expired: x1 was not heard of" in text
    assert re.search(r"attempt 2 +completed", text)
    assert [entry.kind for entry in timeline.story if isinstance(entry, Notice)] == ["late"]


def test_a_sleep_says_until_when() -> None:
    s = Scenario(define({"nap": {"kind": "sleep", "for": "2h", "next": "end"}}))
    s.start()
    timeline = story_of(s)
    (sleep,) = visits(timeline)["nap"].items
    assert isinstance(sleep, Sleep)
    assert matters(timeline) == [Matter(kind="time", step="nap", what="a time", until_ms=s.now_ms + 7_200_000)]
    assert "(in 2h)" in text_of(timeline, s.now_ms)


def test_a_command_to_copy_keeps_what_others_wrote_in_one_argument() -> None:
    steps = {"reply": {"kind": "wait", "event": "said", "correlation": "${input.who}", "timeout": "1h", "next": "end"}}
    s = Scenario(define(steps))
    s.start({"who": "T-1'; rm -rf ~ #"})
    (matter,) = matters(story_of(s))
    assert matter.command == "holdfast signal w-1 said --correlation 'T-1'\"'\"'; rm -rf ~ #' --data '{}'"


def test_what_others_wrote_is_printed_and_not_obeyed_by_the_terminal() -> None:
    evil = "\x1b[2J\u202egnirts\r\nfake line"
    steps = {"look": {"kind": "tool", "tool": "look", "arguments": {"q": "${input.q}"}, "next": "end"}}
    s = Scenario(define(steps))
    s.start({"q": evil})
    s.failure(s.take(), "refused", error_message=evil)
    text = text_of(story_of(s), s.now_ms)
    assert not {"\x1b", "\u202e", "\r"} & set(text)
    assert "fake line" not in [line.strip() for line in text.splitlines()]
    assert "\\x1b[2J" in text


def test_no_hash_is_longer_than_it_must_be_on_the_screen() -> None:
    s = an_approval_that_is_given()
    full = next(iter(s.state.approvals.values())).action_hash
    assert full not in text_of(story_of(s), s.now_ms)
    assert full[:12] in text_of(story_of(s), s.now_ms)


def test_a_pause_says_who_and_why_and_how_to_go_on() -> None:
    s = a_pause_and_a_way_on()
    paused = [m.meta.type for m in s.journal].index("WorkflowPaused") + 1
    text = text_of(stories.story_of(s.journal[:paused]), s.now_ms)
    assert "by mia: moving house" in text
    assert "waits for  somebody who resumes it" in text
    assert 'next  holdfast resume w-1 --reason "..."' in text
    assert story_of(s).status == "completed"


def test_undoing_is_told_as_a_visit_of_its_own() -> None:
    s = an_effect_that_is_undone()
    told = [(v.step, v.kind, v.status) for v in story_of(s).story if isinstance(v, Visit)]
    assert told == [
        ("book", "tool", "completed"),
        ("reply", "wait", "cancelled"),
        ("book", "compensation", "completed"),
    ]


def test_what_an_operator_did_stands_in_the_story() -> None:
    s = a_step_that_is_skipped_and_one_that_is_sent_back()
    text = text_of(story_of(s), s.now_ms)
    assert "looked myself" in text
    assert "look again" in text
    assert next((v.step, v.status) for v in story_of(s).story if isinstance(v, Visit)) == ("look", "skipped")
    found = text_of(story_of(a_payment_that_somebody_found()), s.now_ms)
    assert "it is in the books" in found


def test_nothing_is_told_of_a_workflow_without_events() -> None:
    assert tell([]) is None
