"""Workflows that start workflows: the `child` and `map` steps, and what the two sides owe each other."""

from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import ids
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.streams.core.compile import CompiledDefinition, compile_definition
from holdfast.streams.core.definition import Definition
from support.scenario import START_MS, TENANT, TOOLS, define
from support.town import Town

Steps = dict[str, Any]
HOUR_MS = 3_600_000

CHILD = define(
    {
        "look": {"kind": "tool", "tool": "look", "retry": {"max_attempts": 1}, "next": "done"},
        "done": {"kind": "succeed", "output": {"saw": "${steps.look.output}", "of": "${input.n}"}},
    },
    name="child",
    input={"type": "object", "required": ["n"]},
)


def parent(more_steps: Steps | None = None, **step: Any) -> CompiledDefinition:
    """A workflow with one child step; it ends as `end`, or as `broken` if the step fails."""
    call = {
        "kind": "child",
        "definition": "child",
        "input": {"n": "${input.n}"},
        "timeout": "30m",
        "next": "end",
        "catch": {"*": "broken"},
        **step,
    }
    return define({"ask": call, **(more_steps or {})}, children={"child": CHILD.hash})


def started(definition: CompiledDefinition, value: Any = None) -> Town:
    town = Town.of(CHILD, definition)
    town.start(definition, value={"n": 7} if value is None else value)
    return town


CHILD_ID = "w-1:ask.1.0"


def test_a_child_runs_on_its_own_and_its_output_is_that_of_the_step() -> None:
    town = started(parent())
    assert town.state(CHILD_ID).parent is not None
    assert town.state(CHILD_ID).depth == 1
    town.answer(town.take(), "everything")
    assert town.types(CHILD_ID)[-1] == "WorkflowCompleted"
    assert town.state("w-1").status == "completed"
    assert town.state("w-1").outputs["ask"] == {"saw": "everything", "of": 7}
    assert not town.state("w-1").children


def test_a_child_that_fails_fails_the_step_with_its_error() -> None:
    town = started(parent(catch={"tool_error": "end"}))
    town.fail(town.take(), "tool_error")
    assert town.state("w-1").status == "completed"
    failed = next(event for event in town.journals["w-1"] if isinstance(event, e.StepFailed))
    assert failed.error_class == "tool_error"


def test_a_child_that_cannot_start_fails_the_step_with_the_reason() -> None:
    definition = parent(input={}, catch={"input_invalid": "end"})
    town = started(definition)
    assert town.state("w-1").status == "completed"
    assert CHILD_ID not in town.rows


def test_a_child_whose_id_is_taken_by_another_workflow_is_refused() -> None:
    definition = parent(catch={"workflow_exists": "end"})
    town = Town.of(CHILD, definition)
    town.start(CHILD, CHILD_ID, {"n": 1})
    town.start(definition, value={"n": 7})
    assert town.state("w-1").status == "completed"
    assert town.state(CHILD_ID).status == "running"


def test_a_step_that_does_not_wait_goes_on_at_once() -> None:
    town = started(parent(wait=False, on_parent_end="leave"))
    assert town.state("w-1").status == "completed"
    assert town.state("w-1").outputs["ask"] == {"workflow_id": CHILD_ID}
    town.answer(town.take())
    assert town.state(CHILD_ID).status == "completed"
    assert town.types("w-1")[-1] == "WorkflowCompleted", "the end of a child is nobody's concern after the parent's"


ENDS = [
    # on_parent_end, how the parent stops waiting, how the child ends
    ("cancel", "cancel", "cancelled"),
    ("cancel", "timeout", "cancelled"),
    ("leave", "cancel", "running"),
    ("leave", "timeout", "running"),
]


@pytest.mark.parametrize(("policy", "what", "status"), ENDS)
def test_what_becomes_of_a_child_that_nobody_waits_for_is_declared(policy: str, what: str, status: str) -> None:
    town = started(parent(on_parent_end=policy))
    if what == "cancel":
        town.cancel()
    else:
        town.fire()
    assert town.state("w-1").finished
    assert town.state(CHILD_ID).status == status


def test_a_child_may_not_live_longer_than_its_parent_allows() -> None:
    town = started(parent())
    assert town.state(CHILD_ID).deadline_at_ms == START_MS + HOUR_MS // 2
    free = started(parent(wait=False, on_parent_end="leave"))
    assert free.state(CHILD_ID).deadline_at_ms == START_MS + HOUR_MS


def test_a_cancel_goes_all_the_way_down() -> None:
    middle = parent()
    top = define(
        {"ask": {"kind": "child", "definition": "test", "input": {"n": 1}, "timeout": "1h", "next": "end"}},
        name="top",
        children={"test": middle.hash},
    )
    town = Town.of(CHILD, middle, top)
    town.start(top)
    town.cancel()
    assert {name: town.state(name).status.value for name in town.rows} == dict.fromkeys(town.rows, "cancelled")
    assert len(town.rows) == 3


def test_workflows_do_not_nest_for_ever() -> None:
    deep = req.StartWorkflow(definition="", definition_hash=CHILD.hash, input={"n": 1}, parent_id="p", depth=9)
    town = Town.of(CHILD)
    town.send("w-9", deep)
    assert "w-9" not in town.rows


def test_every_letter_may_come_twice() -> None:
    town = started(parent())
    town.answer(town.take(), "everything")
    journals = {name: list(journal) for name, journal in town.journals.items()}
    for letter in list(town.letters):
        town.repeat(letter)
    assert town.journals == journals


def test_what_nobody_asked_for_is_not_believed() -> None:
    town = started(parent())
    forged = rep.ReportChildEnded(
        step="ask",
        visit=1,
        index=0,
        child_id="another",
        outcome="completed",
        output="mine",
        error_class="",
        error_message="",
    )
    town.send("w-1", forged)
    assert town.state("w-1").status == "running"


def test_who_asked_the_parent_cannot_approve_in_the_child() -> None:
    asks = define(
        {"ask": {"kind": "approval", "tool": "send", "roles": ["lead"], "timeout": "1h", "next": "end"}}, name="child"
    )
    definition = define(
        {"ask": {"kind": "child", "definition": "child", "timeout": "1h", "next": "end"}},
        children={"child": asks.hash},
    )
    town = Town.of(asks, definition)
    town.start(definition)
    approval = next(iter(town.state(CHILD_ID).approvals.values()))
    body = req.DecideApproval(
        approval_id=approval.approval_id, decision="approve", action_hash=approval.action_hash, comment=""
    )
    town.send(CHILD_ID, body, ("person", "ann"))
    assert town.journals[CHILD_ID][-1].code == "self_approval"  # type: ignore[attr-defined]
    town.send(CHILD_ID, body, ("person", "bea"))
    assert town.state("w-1").status == "completed"


def each(more: Steps | None = None, **step: Any) -> CompiledDefinition:
    """A workflow that looks at every item of its input; an item's output is what was seen."""
    steps: Steps = {
        "each": {
            "kind": "map",
            "items": "${input.items}",
            "do": "look",
            "timeout": "30m",
            "next": "end",
            "catch": {"*": "broken"},
            **step,
        },
        "look": {
            "kind": "tool",
            "tool": "look",
            "arguments": {"of": "${input.item}", "at": "${input.index}", "for": "${input.shared}"},
            "retry": {"max_attempts": 1},
            "next": "seen",
        },
        "seen": {"kind": "succeed", "output": "${steps.look.output}"},
    }
    return define({**steps, **(more or {})})


def mapped(items: list[Any], **step: Any) -> Town:
    definition = each(**step)
    town = Town.of(definition)
    town.start(definition, value={"items": items})
    return town


def test_every_item_is_a_workflow_of_its_own_and_results_keep_the_order_of_the_items() -> None:
    town = mapped(["a", "b", "c"], shared={"who": "us"})
    tasks = [town.take() for _ in range(3)]
    assert [task.arguments for task in tasks] == [
        {"of": item, "at": index, "for": {"who": "us"}} for index, item in enumerate("abc")
    ]
    for task in reversed(tasks):
        town.answer(task, f"saw {task.arguments['of']}")
    assert town.state("w-1").outputs["each"] == {"results": ["saw a", "saw b", "saw c"], "failed": 0, "failures": []}
    assert town.state("w-1").status == "completed"


def test_no_more_items_run_at_a_time_than_allowed() -> None:
    town = mapped(list(range(5)), concurrency=2)
    assert len(town.tasks) == 2
    for _ in range(4):
        town.answer(town.take())
        running = [name for name, row in town.rows.items() if name != "w-1" and not row.state.finished]
        assert len(running) <= 2
    town.answer(town.take())
    assert town.state("w-1").status == "completed"


def test_a_map_over_nothing_is_done() -> None:
    town = mapped([])
    assert town.state("w-1").outputs["each"] == {"results": [], "failed": 0, "failures": []}


PARTIAL = [
    # on_failure, max_failures, items that fail of four (two at a time), status, how many items were started
    ("fail_fast", 0, {0}, "failed", 2),
    ("fail_fast", 1, {0}, "completed", 4),
    ("fail_fast", 1, {0, 1}, "failed", 3),
    ("wait_all", 0, {0}, "failed", 4),
    ("wait_all", 1, {0}, "completed", 4),
    ("ignore", 0, {0, 1, 2, 3}, "completed", 4),
]


@pytest.mark.parametrize(("policy", "allowed", "bad", "status", "begun"), PARTIAL)
def test_how_many_items_may_fail_is_declared(policy: str, allowed: int, bad: set[int], status: str, begun: int) -> None:
    town = mapped(list(range(4)), on_failure=policy, max_failures=allowed, concurrency=2)
    while town.tasks:
        task = town.take()
        if task.arguments["at"] in bad:
            town.fail(task)
        elif not town.state(task.effect_key.split("/")[1]).finished:
            town.answer(task, "fine")
    assert town.state("w-1").status == status
    assert len(town.rows) == 1 + begun
    assert all(row.state.finished for row in town.rows.values()), "what nobody waits for any more is cancelled"


def test_what_failed_stands_in_the_output() -> None:
    town = mapped(["a", "b"], on_failure="ignore")
    town.answer(town.take(), "saw a")
    town.fail(town.take())
    assert town.state("w-1").outputs["each"] == {
        "results": ["saw a", None],
        "failed": 1,
        "failures": [{"index": 1, "error": {"class": "tool_error", "message": "it broke"}}],
    }


def test_more_items_than_allowed_are_refused_before_the_first() -> None:
    town = mapped(list(range(5)), max_items=4, catch={"too_many_items": "end"})
    assert town.state("w-1").status == "completed"
    assert len(town.rows) == 1


def test_items_of_items_nest() -> None:
    inner: Steps = {
        "rows": {
            "kind": "map",
            "items": "${input.items}",
            "do": "cells",
            "timeout": "30m",
            "next": "end",
        },
        "cells": {
            "kind": "map",
            "items": "${input.item}",
            "do": "cell",
            "timeout": "20m",
            "next": "row_done",
        },
        "row_done": {"kind": "succeed", "output": "${steps.cells.output.results}"},
        "cell": {"kind": "succeed", "output": "${input.item * 2}"},
    }
    definition = define(inner)
    town = Town.of(definition)
    town.start(definition, value={"items": [[1, 2], [3]]})
    assert town.state("w-1").outputs["rows"]["results"] == [[2, 4], [6]]  # type: ignore[index,call-overload]


def test_the_id_of_a_child_is_a_workflow_id_however_long_its_parents_is() -> None:
    longest = "p" * ids.WORKFLOW_ID_LENGTH
    made = {ids.child_id(longest, "step", 1, index) for index in range(3)}
    assert len(made) == 3
    assert all(ids.WORKFLOW_ID.fullmatch(name) for name in made)


def problems_of(steps: Steps, **more: Any) -> str:
    data = {"name": "test", "deadline": "1h", "start": next(iter(steps)), "steps": steps, "tools": TOOLS, **more}
    try:
        compile_definition(Definition.model_validate(data))
    except Exception as exc:
        return str(exc)
    return ""


def test_a_step_can_only_be_in_one_place() -> None:
    steps: Steps = {
        "both": {"kind": "parallel", "branches": {"a": "x", "b": "x"}, "timeout": "1h", "next": "x"},
        "x": {"kind": "succeed"},
    }
    said = problems_of(steps)
    assert "the workflow itself and branch 'a' of 'both' and branch 'b' of 'both'" in said


def test_an_item_sees_nothing_of_what_stands_around_it() -> None:
    steps: Steps = {
        "first": {"kind": "assign", "set": {"n": 1}, "next": "each"},
        "each": {"kind": "map", "items": "${input.items}", "do": "one", "timeout": "1h", "next": "end"},
        "one": {"kind": "succeed", "output": "${steps.first.output}"},
        "end": {"kind": "succeed", "output": "${steps.one.output}"},
    }
    said = problems_of(steps)
    assert "reads step 'first' of the workflow itself" in said
    assert "reads step 'one' of the items of 'each'" in said


def test_branches_do_not_see_each_other_but_what_is_around_them_and_in_them() -> None:
    steps: Steps = {
        "first": {"kind": "assign", "set": {"n": 1}, "next": "both"},
        "both": {"kind": "parallel", "branches": {"a": "a", "b": "b"}, "timeout": "1h", "next": "end"},
        "a": {"kind": "succeed", "output": "${steps.first.output}"},
        "b": {"kind": "succeed", "output": "${steps.a.output}"},
        "end": {"kind": "succeed", "output": "${steps.a.output}"},
    }
    said = problems_of(steps)
    assert "reads step 'a' of branch 'a' of 'both'" in said
    assert said.count("cannot be seen") == 1


def test_a_child_has_to_be_published_first() -> None:
    steps: Steps = {
        "ask": {"kind": "child", "definition": "nobody", "timeout": "1h", "next": "end"},
        "end": {"kind": "succeed"},
    }
    assert "there is no published definition 'nobody'" in problems_of(steps)


def test_everything_about_a_child_is_keyed_by_its_own_workflow() -> None:
    town = started(parent())
    assert {letter.meta.tenant for letter in town.letters} == {TENANT}
    assert {letter.meta.workflow_id for letter in town.letters} == {CHILD_ID}
