"""Questions about calls that nobody knew, and about what was undone, asked of journals that the real driver made."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.schemas.record import Message, Record
from support.engine import Engine
from support.journal_builder import START_MS
from support.scenario import Scenario, define

Ask = Callable[..., list[dict[str, Any]]]
Steps = dict[str, Any]
LONG = "9000d"
CALL: Steps = {"kind": "tool", "tool": "send", "retry": {"max_attempts": 1}, "next": "end", "catch": {"*": "broken"}}
HEAR: Steps = {"kind": "wait", "event": "told", "timeout": LONG, "next": "end"}


def started(workflow_id: str, steps: Steps, **more: Any) -> Scenario:
    scenario = Scenario(define(steps, **{"deadline": LONG, **more}), now_ms=START_MS, workflow_id=workflow_id)
    scenario.start()
    return scenario


def resolved(workflow_id: str, outcome: str) -> Scenario:
    scenario = started(workflow_id, {"go": {**CALL, "tool": "pay"}})
    task = scenario.take()
    scenario.claim(task)
    scenario.failure(task, "timeout", outcome_unknown=True)
    scenario.resolve(task.effect_key, outcome, "paid")
    return scenario


def made_again(workflow_id: str = "again", *, late: bool = False) -> Scenario:
    """No trace was found, so the call was made again; the first attempt may turn out to have taken effect, too late."""
    scenario = started(workflow_id, {"go": {**CALL, "tool": "post"}})
    task = scenario.take()
    scenario.claim(task)
    scenario.failure(task, "timeout", outcome_unknown=True)
    scenario.lookup(scenario.take(), found=False)
    scenario.now_ms += 60_000
    scenario.lookup(scenario.take(), found=False)
    scenario.tool_result(scenario.take(), "posted")
    if late:
        scenario.tool_result(task, "posted")
    return scenario


def found() -> Scenario:
    """A trace was found, and the report of the attempt itself came after all."""
    scenario = started("found", {"go": {**CALL, "tool": "post"}})
    task = scenario.take()
    scenario.claim(task)
    scenario.failure(task, "timeout", outcome_unknown=True)
    scenario.lookup(scenario.take(), found=True, result="posted")
    scenario.tool_result(task, "posted")
    return scenario


def act(step: str, **more: Any) -> Steps:
    undo = {"tool": "slow", "arguments": {"undo": f"${{steps.{step}.output.id}}"}, "retry": {"max_attempts": 1}, **more}
    return {**CALL, "compensate": undo}


def both_done(workflow_id: str, **more: Any) -> Scenario:
    steps: Steps = {
        "book": {**act("book"), "next": "charge"},
        "charge": {**act("charge", **more), "next": "hear"},
        "hear": HEAR,
    }
    scenario = started(workflow_id, steps)
    scenario.tool_result(scenario.take(), {"id": "b-1"})
    scenario.tool_result(scenario.take(), {"id": "c-1"})
    scenario.now_ms += 1_000
    return scenario


def undone() -> Scenario:
    """Undoing failed once, and worked when an operator had it tried again."""
    scenario = both_done("undone")
    scenario.cancel()
    task = scenario.take()
    scenario.claim(task)
    scenario.failure(task, "tool_error")
    scenario.now_ms += 1_000
    scenario.retry("charge")
    scenario.tool_result(scenario.take())
    scenario.tool_result(scenario.take())
    return scenario


def undoing() -> Scenario:
    """One effect is being undone at this moment, by an executor."""
    scenario = both_done("undoing")
    scenario.cancel()
    scenario.claim(scenario.take())
    return scenario


def asking() -> Scenario:
    """A person refused to undo, and is asked once more."""
    scenario = both_done("asking", roles=["lead"])
    scenario.cancel()
    scenario.decide("reject")
    scenario.now_ms += 1_000
    scenario.retry("charge")
    return scenario


def allowed() -> Scenario:
    """A person refused to undo, was asked once more, and allowed it."""
    scenario = both_done("allowed", roles=["lead"])
    scenario.cancel()
    scenario.decide("reject")
    scenario.now_ms += 1_000
    scenario.retry("charge")
    scenario.now_ms += 1_000
    scenario.decide("approve")
    scenario.tool_result(scenario.take())
    scenario.tool_result(scenario.take())
    return scenario


def failed() -> Scenario:
    """One effect could not be undone, and a person has to see to it."""
    scenario = both_done("failed")
    scenario.cancel()
    scenario.failure(scenario.take(), "tool_error")
    return scenario


def by_hand() -> Scenario:
    scenario = failed()
    scenario.skip("charge")
    scenario.tool_result(scenario.take())
    return scenario


def terminated() -> Scenario:
    scenario = both_done("terminated")
    scenario.cancel()
    scenario.take()
    scenario.now_ms += 1_000
    scenario.terminate()
    return scenario


def never_happened() -> Scenario:
    scenario = started("never", {"book": act("book"), "end": {"kind": "succeed"}})
    scenario.failure(scenario.take(), "tool_error")
    return scenario


def paused() -> Scenario:
    scenario = started("paused", {"hear": HEAR})
    scenario.pause()
    return scenario


def extended() -> Scenario:
    """Somebody gave a workflow more time after its deadline."""
    scenario = started("extended", {"hear": HEAR}, deadline="1h", on_deadline="escalate")
    scenario.fire()
    scenario.resume(extend_ms=9_000 * 86_400_000)
    return scenario


def late() -> Scenario:
    """A workflow whose deadline is over undoes what it did."""
    scenario = started("late", {"book": {**act("book"), "next": "hear"}, "hear": HEAR}, deadline="1h")
    scenario.tool_result(scenario.take(), {"id": "b-1"})
    scenario.fire()
    return scenario


STORIES: dict[str, Callable[[], Scenario]] = {
    "done": lambda: resolved("done", "done"),
    "not_done": lambda: resolved("not-done", "not_done"),
    "retry": lambda: resolved("retry", "retry"),
    "unknown": lambda: resolved("unknown", "nothing"),
    "twice": lambda: made_again("twice", late=True),
    **{
        play.__name__: play
        for play in (
            *(made_again, found, undone, undoing, asking, allowed, by_hand),
            *(terminated, never_happened, paused, extended, late),
        )
    },
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the stories in it, every event twice: answers must not notice."""
    engine = Engine(tmp_path_factory.mktemp("queries"))
    journals: list[list[Message[Record]]] = [play().journal for play in STORIES.values()]
    for _ in range(2):
        engine.load([message for journal in journals for message in journal])
    yield engine
    engine.close()


@pytest.fixture
def ask(told: Engine) -> Ask:
    return told.ask


def calls(ask: Ask, workflow_id: str) -> list[dict[str, Any]]:
    return ask("tool_calls", tenant="acme", workflow=workflow_id)


OUTCOMES = [("done", "done", "completed"), ("not-done", "not_done", "failed"), ("retry", "retry", "failed")]


@pytest.mark.parametrize(("workflow_id", "outcome", "status"), OUTCOMES)
def test_a_call_that_a_person_resolved_says_who_how_and_why(
    ask: Ask, workflow_id: str, outcome: str, status: str
) -> None:
    first = calls(ask, workflow_id)[0]
    assert (first["outcome"], first["status"], first["resolved_by"]) == (outcome, status, "bea")
    assert first["evidence"] == "I looked"
    assert not first["resolved_at"].startswith("1970")
    following = [(call["attempt"], call["status"]) for call in calls(ask, workflow_id)[1:]]
    assert following == ([(2, "open")] if outcome == "retry" else [])


def test_a_call_that_was_searched_for_says_what_came_of_it(ask: Ask) -> None:
    (seen,) = calls(ask, "found")
    assert (seen["outcome"], seen["status"], seen["searches"]) == ("found", "completed", 1)
    assert seen["evidence"] == "where it was looked"
    assert not seen["searched_at"].startswith("1970")
    first, second = calls(ask, "again")
    assert (first["outcome"], first["status"], first["searches"]) == ("not_found", "not_found", 2)
    assert (second["outcome"], second["status"]) == ("", "completed")


def test_an_effect_and_what_undid_it_are_two_effects_that_happened_once_each(ask: Ask) -> None:
    (row,) = ask("repeated_effects")
    assert (row["workflow_id"], row["executions"]) == ("twice", 2)


def statuses(ask: Ask, workflow_id: str) -> dict[str, str]:
    return {row["step"]: row["status"] for row in ask("compensations", workflow=workflow_id)}


def test_compensations(ask: Ask) -> None:
    assert statuses(ask, "undone") == {"book": "completed", "charge": "completed"}
    assert statuses(ask, "undoing") == {"book": "bound", "charge": "running"}
    assert statuses(ask, "asking") == {"book": "bound", "charge": "running"}
    assert statuses(ask, "failed") == {"book": "completed", "charge": "skipped"}
    assert statuses(ask, "terminated") == {"book": "bound", "charge": "cancelled"}
    assert statuses(ask, "never") == {"book": "dropped"}
    (row,) = [row for row in ask("compensations", workflow="undone", status="completed") if row["step"] == "charge"]
    assert (row["tool"], row["effect"], row["arguments"]) == ("slow", "keyed", '{"undo":"c-1"}')
    assert row["effect_key"] == "acme/undone/charge.1/0/0"
    (skipped,) = ask("compensations", workflow="failed", status="skipped")
    assert (skipped["skipped_by"], skipped["error_class"]) == ("ann", "tool_error")


def test_a_step_keeps_its_own_end_whatever_becomes_of_undoing_it(ask: Ask) -> None:
    for workflow_id in ("failed", "terminated"):
        rows = {row["step"]: row for row in ask("steps", tenant="acme", workflow=workflow_id)}
        assert (rows["charge"]["status"], rows["charge"]["duration_ms"]) == ("completed", 0)


def test_what_is_being_undone_is_open_although_its_step_has_ended(ask: Ask) -> None:
    (row,) = ask("workflow", tenant="acme", workflow="undoing")
    assert row["open_tool_calls"] == [["acme/undoing/charge~undo.1/0/0", "slow", 1]]
    assert row["compensations"] == [["book", 1, "slow", "bound"], ["charge", 1, "slow", "running"]]
    assert (row["status"], row["closing_outcome"]) == ("compensating", "cancelled")
    (over,) = ask("workflow", tenant="acme", workflow="terminated")
    assert over["open_tool_calls"] == []


def test_who_is_asked_to_undo_something_is_on_the_list_of_open_approvals(ask: Ask) -> None:
    (row,) = ask("open_approvals")
    assert (row["workflow_id"], row["summary"]) == ("asking", "undo charge")


def test_a_refusal_to_undo_does_not_count_against_a_later_approval(ask: Ask) -> None:
    assert ask("unapproved_effects") == []
    used = [row for row in ask("approvals") if row["used_by"]]
    assert [(row["workflow_id"], row["decision"], row["used_by"]) for row in used] == [
        ("allowed", "approve", "acme/allowed/charge~undo.1/0/0")
    ]


def test_a_workflow_on_its_way_to_its_end_is_not_late_and_one_with_more_time_is_not_stuck(ask: Ask) -> None:
    found = {row["workflow_id"]: row["reason"] for row in ask("stuck")}
    closing = dict.fromkeys(("undoing", "asking", "late"), "closing")
    assert found == {"retry": "call_open", "paused": "paused", "unknown": "blocked", **closing}
    assert [row["workflow_id"] for row in ask("stuck", idle_minutes=str(10**9))] == ["unknown"]
    (row,) = ask("workflow", tenant="acme", workflow="extended")
    assert row["deadline_at"] > "2040"
