"""Budgets: what would go over one is not made; children spend a part of it, and say what they spent."""

from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.streams.core.budget import EXHAUSTED, left
from holdfast.streams.core.replay import first_divergence
from support.scenario import Scenario, answer, define, only
from support.town import Town

AGENT: dict[str, Any] = {"kind": "agent", "instructions": "x", "tools": ["look"], "max_turns": 9, "next": "end"}
WAIT: dict[str, Any] = {"kind": "wait", "event": "told", "timeout": "30m", "next": "end"}


def thinking(**budget: int) -> Scenario:
    """An agent that has been asked once; each answer is paid with 15 tokens and 7 microdollars."""
    scenario = Scenario(define({"think": AGENT}, budget=budget))
    scenario.start()
    return scenario


def test_without_a_budget_no_account_is_kept() -> None:
    scenario = thinking()
    scenario.model_result(scenario.take(), answer("done"))
    assert (scenario.state.status, scenario.state.spent) == ("completed", {})


SPENT = [
    ({"model_calls": 2}, "2 of 2 model calls are spent or set aside"),
    ({"tokens": 30}, "30 of 30 tokens are spent or set aside"),
    ({"cost_microusd": 14}, "14 of 14 cost microusd are spent or set aside"),
]


@pytest.mark.parametrize(("budget", "says"), SPENT, ids=lambda value: next(iter(value), "") if value else "")
def test_a_model_call_that_the_budget_does_not_allow_is_not_made(budget: dict[str, int], says: str) -> None:
    scenario = thinking(**budget)
    for _ in range(2):
        scenario.model_result(scenario.take(), answer(calls=[("look", {})]))
        scenario.tool_result(scenario.take(), 1)
    failed = only(scenario.last, e.StepFailed)
    assert (failed.error_class, failed.error_message) == (EXHAUSTED, says)
    assert not scenario.tasks
    assert scenario.state.status == "failed"


def test_tool_calls_of_one_answer_are_made_together_or_not_at_all() -> None:
    scenario = thinking(tool_calls=1)
    scenario.model_result(scenario.take(), answer(calls=[("look", {}), ("look", {})]))
    assert only(scenario.last, e.StepFailed).error_class == EXHAUSTED
    assert not scenario.tasks


def test_another_attempt_is_paid_like_the_first_and_given_up_without_a_budget() -> None:
    scenario = Scenario(define({"go": {"kind": "tool", "tool": "look", "next": "end"}}, budget={"tool_calls": 2}))
    scenario.start()
    scenario.failure(scenario.take())
    assert left(scenario.state) == {"tool_calls": 0}, "the attempt to come is set aside"
    scenario.fire()
    scenario.failure(scenario.take())
    assert only(scenario.last, e.ToolCallFailed).retry_at_ms == 0
    assert scenario.state.status == "failed"


def test_a_call_of_which_no_trace_is_found_is_not_made_again_without_a_budget() -> None:
    steps = {"file": {"kind": "tool", "tool": "post", "next": "end"}}
    scenario = Scenario(define(steps, budget={"tool_calls": 1}))
    scenario.start()
    scenario.failure(scenario.take(), "timeout", outcome_unknown=True)
    for _ in range(2):
        search = scenario.take()
        scenario.now_ms = max(scenario.now_ms, search.not_before_at_ms)
        scenario.lookup(search, found=False)
    assert only(scenario.last, e.StepFailed).error_class == "budget_exhausted"
    assert not scenario.tasks


def test_an_attempt_that_was_given_back_was_not_spent() -> None:
    scenario = Scenario(define({"go": {"kind": "tool", "tool": "pay", "next": "end"}}, budget={"tool_calls": 1}))
    scenario.start()
    task = scenario.take()
    scenario.claim(task)
    scenario.feed(
        rep.ReleaseTask(effect_key=task.effect_key, attempt=1, executor_id="x1", reason="stopping"),
        actor=("executor", "x1"),
    )
    assert scenario.take().attempt == 2
    assert scenario.state.spent == {"tool_calls": 1}


def test_undoing_is_not_held_to_the_budget() -> None:
    act = {"kind": "tool", "tool": "send", "compensate": {"tool": "send"}, "next": "hear"}
    scenario = Scenario(define({"act": act, "hear": WAIT}, budget={"tool_calls": 1}))
    scenario.start()
    scenario.tool_result(scenario.take(), 1)
    scenario.cancel()
    scenario.tool_result(scenario.take(), 1)
    assert scenario.state.status == "cancelled"


def test_an_answer_that_comes_too_late_is_paid_all_the_same() -> None:
    steps = {"think": {**AGENT, "timeout": "1m", "catch": {"timeout": "hear"}}, "hear": WAIT}
    scenario = Scenario(define(steps, budget={"tokens": 100, "model_calls": 5}))
    scenario.start()
    task = scenario.take()
    scenario.fire()
    scenario.model_result(task, answer("late"))
    assert only(scenario.last, e.LateResultRecorded)
    assert scenario.state.spent == {"model_calls": 1, "tokens": 15, "cost_microusd": 7}


def test_a_start_may_have_a_tighter_budget_than_its_definition_and_never_a_wider_one() -> None:
    scenario = Scenario(define({"hear": WAIT}, budget={"tool_calls": 5, "tokens": 100}))
    asked = {"tool_calls": 9, "tokens": 10, "model_calls": 3}
    scenario.feed(
        req.StartWorkflow(definition="test", definition_hash=scenario.definition.hash, input={}, budget=dict(asked))
    )
    assert scenario.state.budget == {"model_calls": 3, "tokens": 10, "tool_calls": 5}


@pytest.mark.parametrize("budget", [5, {"money": 3}, {"tokens": -1}, {"tokens": True}, {"tokens": "5"}])
def test_a_budget_that_is_none_is_refused(budget: Any) -> None:
    scenario = Scenario(define({"hear": WAIT}))
    body = req.StartWorkflow(definition="test", definition_hash=scenario.definition.hash, input={}, budget=budget)
    scenario.feed(body)
    assert (scenario.row, [getattr(sent, "code", "") for sent in scenario.sent]) == (None, ["budget_invalid"])


JOB = define({"go": {"kind": "tool", "tool": "look", "next": "end"}}, name="job")


def parent(first: dict[str, Any], **budget: int) -> Town:
    """A workflow with a budget that begins with a step that starts others, and then calls a tool itself."""
    steps = {
        "begin": {**first, "timeout": "30m", "next": "own"},
        "own": {"kind": "tool", "tool": "send", "next": "end"},
    }
    definition = define(steps, name="parent", budget=budget, children={"job": JOB.hash})
    town = Town.of(definition, JOB)
    town.start(definition)
    return town


CHILD: dict[str, Any] = {"kind": "child", "definition": "job"}


def test_what_a_child_was_granted_is_set_aside_and_what_it_did_not_spend_comes_back() -> None:
    town = parent({**CHILD, "budget": {"tool_calls": 3}}, tool_calls=4)
    (child,) = town.state("w-1").children
    assert town.state(child).budget == {"tool_calls": 3}
    assert left(town.state("w-1")) == {"tool_calls": 1}
    town.answer(town.take("look"), 1)
    assert town.state("w-1").spent == {"tool_calls": 2}, "the child's call, and its own that followed"
    assert left(town.state("w-1")) == {"tool_calls": 2}


def test_what_was_granted_and_spent_is_read_back_from_the_journal() -> None:
    town = parent({**CHILD, "budget": {"tool_calls": 3}}, tool_calls=4)
    (child,) = town.state("w-1").children
    town.answer(town.take("look"), 1)
    for workflow_id in ("w-1", child):
        definition = town.definitions[town.state(workflow_id).definition_hash]
        assert first_divergence(town.messages[workflow_id], definition) is None


def test_a_child_without_a_share_may_spend_all_that_is_left() -> None:
    town = parent(CHILD, tool_calls=4, tokens=10)
    (child,) = town.state("w-1").children
    assert town.state(child).budget == {"tokens": 10, "tool_calls": 4}


def test_a_share_holds_without_a_budget_of_the_parent() -> None:
    town = parent({**CHILD, "budget": {"tool_calls": 3}})
    (child,) = town.state("w-1").children
    assert town.state(child).budget == {"tool_calls": 3}
    assert town.state("w-1").budget == {}


def test_a_budget_goes_down_through_every_generation() -> None:
    middle = define({"deep": {**CHILD, "timeout": "10m", "next": "end"}}, name="middle", children={"job": JOB.hash})
    top = define(
        {"begin": {"kind": "child", "definition": "middle", "timeout": "30m", "next": "end"}},
        name="top",
        budget={"tool_calls": 2},
        children={"middle": middle.hash},
    )
    town = Town.of(top, middle, JOB)
    town.start(top)
    town.answer(town.take("look"), 1)
    assert town.state("w-1").spent == {"tool_calls": 1}


MAP: dict[str, Any] = {"kind": "map", "items": [1, 2, 3, 4], "do": "each", "concurrency": 2}


def mapped(budget: dict[str, int], **more: Any) -> Town:
    steps = {
        "begin": {**MAP, **more, "timeout": "30m", "next": "end"},
        "each": {"kind": "tool", "tool": "look", "next": "done"},
        "done": {"kind": "succeed"},
    }
    definition = define(steps, budget=budget)
    town = Town.of(definition)
    town.start(definition)
    return town


def test_items_have_an_even_part_of_what_is_left() -> None:
    town = mapped({"tool_calls": 10})
    assert [town.state(child).budget for child in town.state("w-1").children] == [{"tool_calls": 2}, {"tool_calls": 2}]
    for _ in range(4):
        town.answer(town.take("look"), 1)
    assert (town.state("w-1").status, town.state("w-1").spent) == ("completed", {"tool_calls": 4})


def test_a_map_whose_items_can_have_nothing_fails() -> None:
    town = mapped({"tool_calls": 3})
    assert town.state("w-1").error_class == EXHAUSTED
    assert not town.tasks


def test_a_child_that_never_was_has_spent_nothing() -> None:
    definition = define(
        {"begin": {**CHILD, "timeout": "30m", "next": "end"}}, budget={"tool_calls": 4}, children={"job": "x"}
    )
    town = Town.of(definition)
    town.start(definition)
    assert town.state("w-1").status == "failed"
    assert (town.state("w-1").spent, left(town.state("w-1"))) == ({}, {"tool_calls": 4})


def test_what_a_schedule_starts_spends_its_own_budget() -> None:
    job = define({"go": {"kind": "tool", "tool": "look", "next": "end"}}, name="job", budget={"tool_calls": 5})
    every = {"kind": "schedule", "definition": "job", "timing": {"every": "1h"}, "next": "end"}
    nightly = define(
        {"every": every}, name="nightly", deadline="10d", budget={"tool_calls": 1}, children={"job": job.hash}
    )
    town = Town.of(nightly, job)
    town.start(nightly)
    for _ in range(2):
        town.fire()
        town.answer(town.take("look"), 1)
    assert town.state("w-1").spent.get("tool_calls", 0) == 0
