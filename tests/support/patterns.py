"""The classic control-flow patterns of workflows: one definition and one play each.

Names and numbers are those of Russell, ter Hofstede, van der Aalst and Mulyar, Workflow Control-Flow Patterns: A
Revised View (BPM Center Report BPM-06-22, 2006).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast.schemas.requests import DeliverEvent, SkipStep
from support.scenario import define
from support.town import Town

Steps = dict[str, Any]
Running = Callable[..., Town]
CHILD = define({"work": {"kind": "tool", "tool": "look", "next": "end"}}, name="child")


def call(name: str, following: str = "") -> Steps:
    """A step of one call, with an ending of its own unless another step follows."""
    step = {"kind": "tool", "tool": "look", "arguments": {"of": name}, "next": following or f"{name}_end"}
    return {name: step} if following else {name: step, f"{name}_end": {"kind": "succeed", "output": name}}


def wait(name: str, following: str = "") -> Steps:
    step = {"kind": "wait", "event": name, "timeout": "1h", "next": following or f"{name}_end"}
    return {name: step} if following else {name: step, f"{name}_end": {"kind": "succeed", "output": name}}


def both(*names: str, following: str = "after", **more: Any) -> Steps:
    return {
        "both": {
            "kind": "parallel",
            "branches": {name: name for name in names},
            "timeout": "1h",
            "next": following,
            **more,
        }
    }


AFTER: Steps = {"after": {"kind": "succeed", "output": "${steps.both.output}"}}


def active(town: Town) -> set[str]:
    return set(town.state("w-1").active)


def do(town: Town, name: str) -> None:
    """Answer the call of a step."""
    task = next(task for task in town.tasks if task.arguments == {"of": name})
    town.tasks.remove(task)
    town.answer(task, name)


def tell(town: Town, event: str) -> None:
    town.send("w-1", DeliverEvent(event_type=event, correlation="", payload=event), ("service", "crm"))


def done(town: Town) -> bool:
    return town.state("w-1").status == "completed"


def sequence(running: Running) -> None:
    town = running({**call("a", "b"), **call("b")})
    do(town, "a")
    assert active(town) == {"b"}
    do(town, "b")
    assert done(town)


def parallel_split(running: Running) -> None:
    town = running({**both("a", "b"), **call("a"), **call("b"), **AFTER})
    assert active(town) == {"both", "a", "b"}


def synchronization(running: Running) -> None:
    town = running({**both("a", "b"), **call("a"), **call("b"), **AFTER})
    do(town, "b")
    assert not done(town)
    do(town, "a")
    assert done(town)


def exclusive_choice(running: Running) -> None:
    steps: Steps = {
        "pick": {"kind": "choice", "branches": [{"when": "input.n > 1", "next": "a"}], "default": "b"},
        **call("a"),
        **call("b"),
    }
    assert active(running(steps, {"n": 2})) == {"a"}
    assert active(running(steps, {"n": 1})) == {"b"}


def simple_merge(running: Running) -> None:
    steps: Steps = {
        "pick": {"kind": "choice", "branches": [{"when": "input.n > 1", "next": "a"}], "default": "b"},
        **call("a", "c"),
        **call("b", "c"),
        **call("c"),
    }
    for n, name in ((2, "a"), (1, "b")):
        town = running(steps, {"n": n})
        do(town, name)
        assert active(town) == {"c"}


CHOSEN: Steps = {
    "both": {
        "kind": "parallel",
        "branches": {"a": {"start": "a", "when": "input.a"}, "b": {"start": "b", "when": "input.b"}, "c": "c"},
        "timeout": "1h",
        "next": "after",
    },
    **call("a"),
    **call("b"),
    **call("c"),
    **AFTER,
}


def multi_choice(running: Running) -> None:
    assert active(running(CHOSEN, {"a": True, "b": False})) == {"both", "a", "c"}


def structured_synchronizing_merge(running: Running) -> None:
    town = running(CHOSEN, {"a": True, "b": False})
    do(town, "a")
    assert not done(town)
    do(town, "c")
    assert done(town)


def cancelling_discriminator(running: Running) -> None:
    town = running({**both("a", "b", join="any"), **call("a"), **call("b"), **AFTER})
    do(town, "b")
    assert done(town)
    assert town.types("w-1").count("StepCancelled") == 1


def cancelling_partial_join(running: Running) -> None:
    town = running({**both("a", "b", "c", join=2), **call("a"), **call("b"), **call("c"), **AFTER})
    do(town, "a")
    assert not done(town)
    do(town, "c")
    assert done(town)


def arbitrary_cycles(running: Running) -> None:
    steps: Steps = {
        **call("a", "b"),
        **call("b", "pick"),
        "pick": {
            "kind": "choice",
            "branches": [
                {"when": "workflow.id == 'w-1' && input.n > 1 && !has(vars.again)", "next": "again"},
            ],
            "default": "end",
        },
        "again": {"kind": "assign", "set": {"again": True}, "next": "b"},
    }
    town = running(steps, {"n": 2})
    for name in ("a", "b", "b"):
        do(town, name)
    assert done(town)
    endless: Steps = {
        "again": {"kind": "assign", "set": {"n": 1}, "next": "pick"},
        "pick": {"kind": "choice", "branches": [{"when": "vars.n > 1", "next": "end"}], "default": "again"},
    }
    assert running(endless, max_steps=50).state("w-1").error_class == "step_limit"


def structured_loop(running: Running) -> None:
    steps: Steps = {
        "count": {"kind": "assign", "set": {"n": "${has(vars.n) ? vars.n + 1 : 1}"}, "next": "a"},
        **call("a", "more"),
        "more": {"kind": "choice", "branches": [{"when": "vars.n < 3", "next": "count"}], "default": "end"},
    }
    town = running(steps)
    for _ in range(3):
        do(town, "a")
    assert done(town)


def deferred_choice(running: Running) -> None:
    town = running({**both("yes", "no", join="any"), **wait("yes"), **wait("no"), **AFTER})
    tell(town, "no")
    assert done(town)
    assert town.state("w-1").output == {"results": {"no": "no"}, "failures": {}, "first": "no"}
    either = {"kind": "wait", "events": [{"event": "yes"}, {"event": "no"}], "timeout": "1h", "next": "end"}
    town = running({"hear": either})
    tell(town, "no")
    assert done(town)


def milestone(running: Running) -> None:
    """`b` may be told as long as `a` has not been; then it is too late."""
    steps: Steps = {**both("a", "b", join="any"), **wait("a"), **wait("b", "c"), **call("c"), **AFTER}
    early = running(steps)
    tell(early, "b")
    assert "c" in active(early)
    late = running(steps)
    tell(late, "a")
    tell(late, "b")
    assert done(late)
    assert not late.tasks


def unsynchronized_instances(running: Running) -> None:
    start = {"kind": "child", "definition": "child", "wait": False, "on_parent_end": "leave", "timeout": "1h"}
    town = running({"one": {**start, "next": "two"}, "two": {**start, "next": "end"}})
    assert done(town)
    assert len(town.rows) == 3


EACH: Steps = {"each": {"kind": "map", "do": "one", "timeout": "30m", "next": "end"}, **call("one")}


def instances_known_at_design_time(running: Running) -> None:
    town = running({**EACH, "each": {**EACH["each"], "items": [1, 2, 3]}})
    assert len(town.tasks) == 3
    for _ in range(3):
        do(town, "one")
    assert done(town)


def instances_known_at_run_time(running: Running) -> None:
    town = running({**EACH, "each": {**EACH["each"], "items": "${input.list}"}}, {"list": ["x", "y"]})
    for _ in range(2):
        do(town, "one")
    assert done(town)


def cancel_task(running: Running) -> None:
    town = running({**call("a", "b"), **call("b")})
    town.send("w-1", SkipStep(step="a", output=None, reason="not needed"))
    assert active(town) == {"b"}


def cancel_case(running: Running) -> None:
    town = running(call("a"))
    town.cancel()
    assert town.state("w-1").status == "cancelled"


def cancel_region(running: Running) -> None:
    inner = {"kind": "parallel", "branches": {"x": "x", "y": "y"}, "timeout": "1h", "next": "in_end"}
    steps: Steps = {**both("in", "stop", join="any"), "in": inner, "in_end": {"kind": "succeed"}, **AFTER}
    town = running({**steps, **call("x"), **call("y"), **wait("stop")})
    tell(town, "stop")
    assert done(town)
    assert town.types("w-1").count("StepCancelled") == 3


def cancel_instances(running: Running) -> None:
    items = {**EACH["each"], "items": [1, 2, 3], "catch": {"timeout": "end"}}
    town = running({**EACH, "each": items})
    town.fire()
    assert done(town)
    assert {row.state.status.value for name, row in town.rows.items() if name != "w-1"} == {"cancelled"}


def transient_trigger(running: Running) -> None:
    town = running({**call("a", "told"), **wait("told")}, events={"told": {"keep": False}})
    tell(town, "told")
    do(town, "a")
    assert active(town) == {"told"}
    tell(town, "told")
    assert done(town)


def persistent_trigger(running: Running) -> None:
    town = running({**call("a", "told"), **wait("told")})
    tell(town, "told")
    do(town, "a")
    assert done(town)


def explicit_termination(running: Running) -> None:
    town = running({"end": {"kind": "succeed", "output": 1}})
    assert done(town)


def sub_workflows(running: Running) -> None:
    town = running({"ask": {"kind": "child", "definition": "child", "timeout": "1h", "next": "end"}})
    town.answer(town.take())
    assert done(town)


@dataclass(frozen=True)
class Pattern:
    """One row of the page: its number and name, how it is written here, and the play that shows it; or why not.

    A play is given a function that starts a workflow `w-1` of some steps in a town of its own.
    """

    number: int
    name: str
    how: str
    play: Callable[[Running], None] | None = None


PATTERNS = (
    Pattern(1, "Sequence", "`next`", sequence),
    Pattern(2, "Parallel split", "`parallel`", parallel_split),
    Pattern(3, "Synchronization", "`parallel`, `join: all`", synchronization),
    Pattern(4, "Exclusive choice", "`choice`", exclusive_choice),
    Pattern(5, "Simple merge", "several steps with the same `next`", simple_merge),
    Pattern(6, "Multi-choice", "`parallel` with `when` on branches", multi_choice),
    Pattern(7, "Structured synchronizing merge", "the end of such a `parallel` step", structured_synchronizing_merge),
    Pattern(8, "Multi-merge", "no: what follows a `parallel` step runs once; use `map` to run it several times"),
    Pattern(9, "Structured discriminator", "no: the branches that lose are cancelled, see 29"),
    Pattern(10, "Arbitrary cycles", "any `next`, bounded by `max_steps`", arbitrary_cycles),
    Pattern(11, "Implicit termination", "no: every path ends at a `succeed` or `fail` step, and lint says where not"),
    Pattern(
        12,
        "Multiple instances without synchronization",
        "`child` with `wait: false`",
        unsynchronized_instances,
    ),
    Pattern(13, "Multiple instances, known at design time", "`map` over a list", instances_known_at_design_time),
    Pattern(14, "Multiple instances, known at run time", "`map` over an expression", instances_known_at_run_time),
    Pattern(15, "Multiple instances, not known beforehand", "no: `map` counts its items first; loop over `child`"),
    Pattern(16, "Deferred choice", "`wait` for several `events`; `parallel` of waits, `join: any`", deferred_choice),
    Pattern(17, "Interleaved parallel routing", "no: branches do not exclude each other"),
    Pattern(18, "Milestone", "`parallel`, `join: any`: a branch that ends it closes the others", milestone),
    Pattern(19, "Cancel task", "`holdfast skip`, a step's `timeout`", cancel_task),
    Pattern(20, "Cancel case", "`holdfast cancel`, `holdfast terminate`", cancel_case),
    Pattern(21, "Structured loop", "`choice` back to an earlier step", structured_loop),
    Pattern(22, "Recursion", "no: the hash of a child's definition is pinned in its parent's"),
    Pattern(23, "Transient trigger", "`events: {TYPE: {keep: false}}`", transient_trigger),
    Pattern(24, "Persistent trigger", "`wait`: an event that comes early is handed over once", persistent_trigger),
    Pattern(25, "Cancel region", "a branch takes what is nested in it with it", cancel_region),
    Pattern(26, "Cancel multiple instance activity", "a `map` step that ends cancels its items", cancel_instances),
    Pattern(27, "Complete multiple instance activity", "no: an item that is not needed any more ends by its own limit"),
    Pattern(29, "Cancelling discriminator", "`parallel`, `join: any`", cancelling_discriminator),
    Pattern(32, "Cancelling partial join", "`parallel`, `join: n`", cancelling_partial_join),
    Pattern(39, "Critical section", "no: branches do not exclude each other"),
    Pattern(43, "Explicit termination", "`succeed`, `fail`", explicit_termination),
    Pattern(0, "Sub-workflow (not in the report)", "`child`", sub_workflows),
)
PLAYED = [pattern for pattern in PATTERNS if pattern.play is not None]
