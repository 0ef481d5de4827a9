"""Questions about branches, items and child workflows, asked of journals that the real driver made."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.schemas.record import Message, Record
from support.engine import Engine
from support.journal_builder import START_MS
from support.scenario import define
from support.town import Town

Ask = Callable[..., list[dict[str, Any]]]
LONG = "9000d"

CHILD = define(
    {
        "each": {"kind": "map", "items": [1, 2], "do": "look", "timeout": LONG, "next": "end"},
        "look": {"kind": "tool", "tool": "look", "arguments": {"at": "${input.item}"}, "next": "seen"},
        "seen": {"kind": "succeed"},
    },
    name="child",
    deadline=LONG,
)
PARENT = define(
    {
        "both": {
            "kind": "parallel",
            "branches": {"ask": "ask", "find": "find", "hear": "hear"},
            "join": "any",
            "timeout": LONG,
            "next": "each",
        },
        "ask": {"kind": "approval", "tool": "send", "roles": ["lead"], "timeout": LONG, "next": "asked"},
        "asked": {"kind": "succeed"},
        "find": {"kind": "tool", "tool": "look", "arguments": {"at": "desk"}, "next": "found"},
        "found": {"kind": "succeed"},
        "hear": {"kind": "wait", "event": "said", "timeout": LONG, "next": "heard"},
        "heard": {"kind": "succeed"},
        "each": {
            "kind": "map",
            "items": ["a", "b", "c", "d"],
            "do": "look",
            "concurrency": 3,
            "on_failure": "ignore",
            "timeout": LONG,
            "next": "start",
        },
        "look": {
            "kind": "tool",
            "tool": "send",
            "arguments": {"at": "${input.item}"},
            "retry": {"max_attempts": 1},
            "next": "seen",
        },
        "seen": {"kind": "succeed"},
        "start": {"kind": "child", "definition": "child", "timeout": LONG, "next": "end"},
    },
    name="parent",
    deadline=LONG,
    children={"child": CHILD.hash},
)
ASKING = define(
    {"start": {"kind": "child", "definition": "leaf", "timeout": LONG, "next": "end"}},
    name="asking",
    deadline=LONG,
    children={"leaf": (LEAF := define({"look": {"kind": "tool", "tool": "look", "next": "end"}}, name="leaf")).hash},
)


def in_the_items() -> Town:
    """One branch came in first; of four items one is done, one failed, one runs, one runs in place of the first."""
    town = Town({each.hash: each for each in (PARENT, CHILD)}, now_ms=START_MS)
    town.start(PARENT, "w-1")
    town.answer(town.take("look"))
    town.now_ms += 1_000
    town.answer(town.take("send"))
    town.fail(town.take("send"))
    return town


def in_the_child() -> Town:
    """All items are done; the child runs two items of its own."""
    town = Town({each.hash: each for each in (PARENT, CHILD)}, now_ms=START_MS)
    town.start(PARENT, "w-2")
    town.answer(town.take("look"))
    for _ in range(4):
        town.answer(town.take("send"))
    town.answer(town.take("look"))
    return town


def whose_child_never_started() -> Town:
    town = Town({each.hash: each for each in (ASKING, LEAF)}, now_ms=START_MS, held_back=True)
    town.start(ASKING, "w-3")
    town._fold(town._inbox.popleft())
    return town


def that_was_never_told() -> Town:
    town = Town({each.hash: each for each in (ASKING, LEAF)}, now_ms=START_MS)
    town.start(ASKING, "w-4")
    town.held_back = True
    town.answer(town.take())
    town._fold(town._inbox.popleft())
    return town


def cancelled() -> Town:
    town = Town({each.hash: each for each in (PARENT, CHILD)}, now_ms=START_MS)
    town.start(PARENT, "w-5")
    town.cancel("w-5")
    return town


def journal(town: Town) -> list[Message[Record]]:
    return [message for messages in town.messages.values() for message in messages]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with all of it, every event twice, in two parts: answers must not notice."""
    engine = Engine(tmp_path_factory.mktemp("queries"))
    towns = (in_the_items(), in_the_child(), whose_child_never_started(), that_was_never_told(), cancelled())
    for partition, town in enumerate(towns):
        for _ in range(2):
            engine.load(journal(town), partition=partition)
    yield engine
    engine.close()


@pytest.fixture
def ask(told: Engine) -> Ask:
    return lambda name, **given: told.ask(name, **{"tenant": "acme", **given})


def test_branches(ask: Ask) -> None:
    rows = ask("branches", workflow="w-1")
    assert [(row["step"], row["visit"], row["branch"], row["status"]) for row in rows] == [
        ("both", 1, "ask", "cancelled"),
        ("both", 1, "find", "completed"),
        ("both", 1, "hear", "cancelled"),
    ]


def test_steps_say_their_branch_what_was_given_up_and_how_far_a_map_is(ask: Ask) -> None:
    rows = {row["step"]: row for row in ask("steps", workflow="w-1")}
    assert (rows["ask"]["scope"], rows["ask"]["status"], rows["ask"]["reason"]) == (
        "both.1/ask",
        "cancelled",
        "branch_cancelled",
    )
    assert not rows["ask"]["ended_at"].startswith("1970")
    assert (rows["find"]["scope"], rows["find"]["status"]) == ("both.1/find", "completed")
    each = rows["each"]
    assert (each["status"], each["item_count"], each["items_ended"], each["items_failed"]) == ("running", 4, 2, 1)
    assert [rows[name]["item_count"] for name in ("both", "find")] == [0, 0]


def test_nothing_of_a_step_that_was_given_up_is_open(ask: Ask, told: Engine) -> None:
    assert ask("open_approvals") == []
    (row,) = ask("workflow", workflow="w-1")
    assert (row["open_approvals"], row["waiting_timers"], row["open_tool_calls"]) == ([], [], [])
    assert [child[1:] for child in row["open_children"]] == [["each", 2], ["each", 3]]
    (gone,) = ask("workflow", workflow="w-5")
    assert (gone["status"], gone["open_approvals"], gone["open_tool_calls"]) == ("cancelled", [], [])
    kinds = told.read("SELECT kind, count() AS n FROM holdfast.v_open GROUP BY kind ORDER BY kind")
    assert kinds == [{"kind": "child", "n": 6}, {"kind": "tool_call", "n": 3}]


def test_what_is_open_stays_open_while_its_step_runs(ask: Ask, told: Engine) -> None:
    town = Town({PARENT.hash: PARENT}, now_ms=START_MS)
    town.start(PARENT, "w-6")
    told.load(journal(town), partition=9)
    (row,) = ask("open_approvals")
    assert (row["workflow_id"], row["step"]) == ("w-6", "ask")
    (waiting,) = ask("workflow", workflow="w-6")
    assert len(waiting["open_approvals"]) == len(waiting["waiting_timers"]) == len(waiting["open_tool_calls"]) == 1
    town.cancel("w-6")
    told.load(journal(town), partition=9)
    assert ask("open_approvals") == []


def test_children(ask: Ask) -> None:
    rows = ask("children", workflow="w-1")
    told = [(row["level"], row["workflow_id"], row["item_index"], row["status"], row["at_step"]) for row in rows]
    assert told == [
        (1, "w-1:each.1.0", 0, "completed", "seen"),
        (1, "w-1:each.1.1", 1, "failed", "look"),
        (1, "w-1:each.1.2", 2, "running", "look"),
        (1, "w-1:each.1.3", 3, "running", "look"),
    ]
    assert [row["error_class"] for row in rows] == ["", "tool_error", "", ""]
    assert {row["start_step"] for row in rows} == {"look"}
    assert len(ask("children", workflow="w-1", limit="2")) == 2


def test_children_of_children_stand_below_them(ask: Ask) -> None:
    rows = [row for row in ask("children", workflow="w-2") if row["step"] != "each" or row["level"] > 1]
    child = "w-2:start.1.0"
    assert [(row["level"], row["parent_id"], row["workflow_id"], row["status"]) for row in rows] == [
        (1, "w-2", child, "running"),
        (2, child, f"{child}:each.1.0", "completed"),
        (2, child, f"{child}:each.1.1", "running"),
    ]
    assert [row["definition_name"] for row in rows] == ["child"] * 3
    assert {row["level"] for row in ask("children", workflow="w-2", levels="1")} == {1}


def test_a_child_that_was_asked_for_and_never_began_is_in_the_tree(ask: Ask) -> None:
    (row,) = ask("children", workflow="w-3")
    assert (row["workflow_id"], row["status"], row["definition_name"]) == ("w-3:start.1.0", "requested", "")


def test_lists_have_children_only_if_asked_for(ask: Ask) -> None:
    def ids(**given: str) -> set[str]:
        return {row["workflow_id"] for row in ask("workflows", **given)}

    top = {"w-1", "w-2", "w-3", "w-4", "w-5"}
    assert ids() - {"w-6", "w-7"} == top
    assert ids(parent="w-1") == {f"w-1:each.1.{index}" for index in range(4)}
    assert ids(which="children") & top == set()
    assert ids(which="all") == ids() | ids(which="children")
    assert ids(parent="w-1", status="failed") == {"w-1:each.1.1"}


def test_a_list_says_which_steps_are_under_way(ask: Ask, told: Engine) -> None:
    town = Town({PARENT.hash: PARENT}, now_ms=START_MS)
    town.start(PARENT, "w-7")
    told.load(town.messages["w-7"], partition=10)
    rows = {row["workflow_id"]: row["steps"] for row in ask("workflows")}
    assert rows["w-7"] == ["ask", "find", "hear"]
    assert (rows["w-1"], rows["w-5"]) == (["each"], [])
    town.cancel("w-7")
    told.load(town.messages["w-7"], partition=10)


def test_a_workflow_knows_its_parent_and_how_deep_it_stands(ask: Ask) -> None:
    (row,) = ask("workflow", workflow="w-2:start.1.0:each.1.1")
    assert (row["parent_id"], row["parent_step"], row["item_index"], row["depth"]) == ("w-2:start.1.0", "each", 1, 2)
    assert row["start_step"] == "look"
    (top,) = ask("workflow", workflow="w-2")
    assert (top["parent_id"], top["depth"], top["start_step"]) == ("", 0, "")


def test_a_parent_is_stuck_only_if_its_child_does_not_go_on_or_was_not_heard_of(ask: Ask) -> None:
    found = {row["workflow_id"]: row["reason"] for row in ask("stuck")}
    assert {name: reason for name, reason in found.items() if not name.startswith(("w-6", "w-7"))} == {
        "w-1:each.1.2": "call_open",
        "w-1:each.1.3": "call_open",
        "w-2:start.1.0:each.1.1": "call_open",
        "w-3": "child_not_started",
        "w-4": "child_ended_unheard",
    }


def test_what_was_given_up_is_no_error(ask: Ask) -> None:
    assert {(row["error_class"], row["type"]) for row in ask("errors")} == {
        ("tool_error", "ToolCallFailed"),
        ("tool_error", "StepFailed"),
        ("tool_error", "WorkflowFailed"),
        ("tool_error", "ChildEnded"),
    }
