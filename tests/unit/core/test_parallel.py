"""The `parallel` step: which branches run, when it goes on, what becomes of the rest."""

from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.schemas.tasks import RunToolCall
from support.scenario import Scenario, define, only

Steps = dict[str, Any]


def branch(name: str, tool: str = "look") -> Steps:
    """A branch of one call, whose result is its output."""
    return {
        name: {
            "kind": "tool",
            "tool": tool,
            "arguments": {"of": name},
            "retry": {"max_attempts": 1},
            "next": f"{name}_end",
        },
        f"{name}_end": {"kind": "succeed", "output": f"${{steps.{name}.output}}"},
    }


def side_by_side(*names: str, **more: Any) -> Scenario:
    """A started workflow with a branch of each name; it ends as `end`, or as `broken` if the step fails."""
    gather = {
        "kind": "parallel",
        "branches": {name: name for name in names},
        "timeout": "1h",
        "next": "end",
        "catch": {"*": "broken"},
        **more,
    }
    steps: Steps = {"gather": gather}
    for name in names:
        steps |= branch(name)
    scenario = Scenario(define(steps))
    scenario.start()
    return scenario


def task_of(scenario: Scenario, name: str) -> Any:
    return next(task for task in scenario.tasks if isinstance(task, RunToolCall) and task.arguments == {"of": name})


def succeed(scenario: Scenario, name: str) -> None:
    scenario.tool_result(task_of(scenario, name), f"from {name}")


def break_(scenario: Scenario, name: str) -> None:
    scenario.failure(task_of(scenario, name), "tool_error")


def ended(scenario: Scenario) -> dict[str, str]:
    """How each branch ended, by its name."""
    events = [message.body for message in scenario.journal]
    return {event.branch: event.outcome for event in events if isinstance(event, e.BranchEnded)}


def test_branches_run_at_the_same_time_and_the_step_has_their_results() -> None:
    scenario = side_by_side("crm", "mail")
    assert scenario.names == [
        "WorkflowStarted",
        "StepStarted",
        "BranchesStarted",
        "StepStarted",
        "ToolCallRequested",
        "StepStarted",
        "ToolCallRequested",
    ]
    succeed(scenario, "mail")
    assert "gather" in scenario.state.active
    succeed(scenario, "crm")
    assert scenario.state.status == "completed"
    output = scenario.state.outputs["gather"]
    assert output == {"results": {"crm": "from crm", "mail": "from mail"}, "failures": {}, "first": "mail"}


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_who_came_first_is_known_whatever_the_names(order: str) -> None:
    scenario = side_by_side("a", "b", "c")
    for name in order:
        succeed(scenario, name)
    output = scenario.state.outputs["gather"]
    assert isinstance(output, dict)
    assert output["first"] == order[0]


@pytest.mark.parametrize(("join", "needed"), [("any", 1), (2, 2), ("all", 3), (7, 3)])
def test_the_step_goes_on_as_soon_as_enough_branches_have_completed(join: Any, needed: int) -> None:
    scenario = side_by_side("a", "b", "c", join=join)
    for name in "abc"[: needed - 1]:
        succeed(scenario, name)
    assert scenario.state.status == "running"
    succeed(scenario, "abc"[needed - 1])
    assert scenario.state.status == "completed"
    assert sorted(ended(scenario).values()) == sorted(["completed"] * needed + ["cancelled"] * (3 - needed))


def test_what_still_runs_when_the_step_ends_is_cancelled_and_its_result_comes_too_late() -> None:
    scenario = side_by_side("a", "b", join="any")
    late = task_of(scenario, "b")
    succeed(scenario, "a")
    assert only(scenario.last, e.StepCancelled) == e.StepCancelled(
        step="b", visit=1, kind="tool", reason="branch_cancelled"
    )
    scenario.tool_result(late, "too late")
    assert scenario.names == ["LateResultRecorded"]


FAILURES = [
    # on_failure, join, what happens in order, then the status of the workflow and how the branches ended
    ("fail_fast", "all", "-a", "failed", "a:failed b:cancelled c:cancelled"),
    ("fail_fast", "any", "-a -b", "running", "a:failed b:failed"),
    ("fail_fast", "any", "-a -b +c", "completed", "a:failed b:failed c:completed"),
    ("fail_fast", 2, "-a -b", "failed", "a:failed b:failed c:cancelled"),
    ("wait_all", "all", "-a", "running", "a:failed"),
    ("wait_all", "all", "-a +b +c", "failed", "a:failed b:completed c:completed"),
    ("wait_all", 2, "-a +b +c", "completed", "a:failed b:completed c:completed"),
    ("ignore", "all", "-a +b", "running", "a:failed b:completed"),
    ("ignore", "all", "-a +b +c", "completed", "a:failed b:completed c:completed"),
    ("ignore", "any", "-a -b -c", "completed", "a:failed b:failed c:failed"),
]


@pytest.mark.parametrize(("on_failure", "join", "acts", "status", "branches"), FAILURES)
def test_what_a_branch_that_fails_does_to_the_others_is_declared(
    on_failure: str, join: Any, acts: str, status: str, branches: str
) -> None:
    scenario = side_by_side("a", "b", "c", join=join, on_failure=on_failure)
    for act in acts.split():
        (succeed if act[0] == "+" else break_)(scenario, act[1])
    assert scenario.state.status == status
    assert ended(scenario) == dict(pair.split(":") for pair in branches.split())


def test_a_branch_that_fails_gives_its_error_to_the_step() -> None:
    scenario = side_by_side("a", "b", catch={"tool_error": "end"})
    break_(scenario, "b")
    failed = [event for event in scenario.last if isinstance(event, e.StepFailed)][-1]
    assert (failed.step, failed.error_class, failed.next_step) == ("gather", "tool_error", "end")
    assert "the first to fail was b" in failed.error_message


def test_only_branches_whose_condition_holds_run() -> None:
    steps: Steps = {
        "gather": {
            "kind": "parallel",
            "branches": {"a": {"start": "a", "when": "input.a"}, "b": {"start": "b", "when": "input.b"}},
            "timeout": "1h",
            "next": "end",
        },
        **branch("a"),
        **branch("b"),
    }
    scenario = Scenario(define(steps))
    scenario.start({"a": False, "b": True})
    assert only(scenario.last, e.BranchesStarted).branches == ("b",)
    succeed(scenario, "b")
    assert scenario.state.status == "completed"

    none = Scenario(define(steps))
    none.start({"a": False, "b": False})
    assert none.state.status == "completed"


def test_the_steps_time_limit_ends_everything_in_it() -> None:
    scenario = side_by_side("a", "b", timeout="1m", catch={"timeout": "end"})
    scenario.fire()
    assert scenario.names[:4] == ["TimerFired", "StepTimedOut", "StepCancelled", "BranchEnded"]
    assert scenario.state.status == "completed"


def nested() -> Scenario:
    inner = {"kind": "parallel", "branches": {"x": "x", "y": "y"}, "timeout": "1h", "next": "inner_end"}
    steps: Steps = {
        "outer": {
            "kind": "parallel",
            "branches": {"in": "inner", "a": "a"},
            "timeout": "1h",
            "next": "end",
            "catch": {"*": "broken"},
        },
        "inner": inner,
        "inner_end": {"kind": "succeed", "output": "${steps.inner.output.results.x}"},
        **branch("x"),
        **branch("y"),
        **branch("a"),
    }
    scenario = Scenario(define(steps))
    scenario.start()
    return scenario


def test_parallel_steps_nest() -> None:
    scenario = nested()
    for name in ("x", "a", "y"):
        succeed(scenario, name)
    assert scenario.state.outputs["outer"]["results"] == {"in": "from x", "a": "from a"}  # type: ignore[index,call-overload]


def test_a_branch_takes_what_is_nested_in_it_with_it() -> None:
    scenario = nested()
    break_(scenario, "a")
    cancelled = [event.step for event in scenario.last if isinstance(event, e.StepCancelled)]
    assert cancelled == ["x", "y", "inner"]
    assert scenario.state.status == "failed"


def test_a_failure_deep_inside_goes_outwards_until_somebody_catches_it() -> None:
    scenario = nested()
    break_(scenario, "x")
    failed = [event.step for event in scenario.last if isinstance(event, e.StepFailed)]
    assert failed == ["x", "inner", "outer"]


def test_a_workflow_waits_only_if_all_its_branches_wait() -> None:
    steps: Steps = {
        "gather": {"kind": "parallel", "branches": {"hear": "hear", "a": "a"}, "timeout": "1h", "next": "end"},
        "hear": {"kind": "wait", "event": "told", "timeout": "1h", "next": "heard"},
        "heard": {"kind": "succeed"},
        **branch("a"),
    }
    scenario = Scenario(define(steps))
    scenario.start()
    assert scenario.state.status == "running"
    succeed(scenario, "a")
    assert scenario.names[-2:] == ["BranchEnded", "StatusChanged"]
    assert scenario.state.status == "waiting"
    scenario.deliver("told")
    assert scenario.state.status == "completed"


def test_a_parallel_step_in_a_loop_begins_anew_each_time() -> None:
    steps: Steps = {
        "count": {"kind": "assign", "set": {"n": "${has(vars.n) ? vars.n + 1 : 1}"}, "next": "gather"},
        "gather": {"kind": "parallel", "branches": {"a": "a"}, "timeout": "1h", "next": "again"},
        "again": {"kind": "choice", "branches": [{"when": "vars.n < 3", "next": "count"}], "default": "end"},
        **branch("a"),
    }
    scenario = Scenario(define(steps))
    scenario.start()
    for _ in range(3):
        scenario.tool_result(scenario.take(), "r")
    assert scenario.state.status == "completed"
    assert scenario.state.visits["gather"] == 3
