"""What two definitions differ in, and whom each difference reaches once workflows are moved."""

from typing import Any

import pytest

from holdfast.streams.core.difference import Difference, Reach, differences
from support.scenario import TOOLS, define, manifest

Steps = dict[str, Any]
HEAR: Steps = {"kind": "wait", "event": "told", "timeout": "1h", "next": "end"}
CALL: Steps = {"kind": "tool", "tool": "send", "arguments": {"to": "ann"}, "next": "end"}
UNDO: Steps = {"tool": "send", "arguments": {"undo": 1}}
PICK: Steps = {"kind": "choice", "branches": [{"when": "input.n > 1", "next": "end"}], "default": "broken"}
BOTH: Steps = {
    "both": {"kind": "parallel", "branches": {"a": "hear", "b": "wait"}, "timeout": "1h", "next": "end"},
    "hear": {**HEAR, "next": "heard"},
    "heard": {"kind": "succeed"},
    "wait": {**HEAR, "next": "waited"},
    "waited": {"kind": "succeed"},
}


def between(old: Steps, new: Steps, **more: Any) -> list[Difference]:
    return list(differences(define(old).definition, define(new, **more).definition))


def one(old: Steps, new: Steps, **more: Any) -> Difference:
    found = between(old, new, **more)
    assert len(found) == 1, found
    return found[0]


def test_a_definition_does_not_differ_from_itself() -> None:
    assert between({"hear": HEAR}, {"hear": HEAR}) == []


def test_a_field_is_told_with_its_old_and_its_new_value() -> None:
    found = one({"hear": HEAR}, {"hear": {**HEAR, "timeout": "2h"}})
    assert (found.step, found.path, found.change) == ("hear", ("timeout",), "changed")
    assert (found.old, found.new) == (3_600_000, 7_200_000)


def test_an_exit_is_told_as_one() -> None:
    later = {"kind": "sleep", "for": "1m", "next": "end"}
    found = between({"hear": HEAR}, {"hear": {**HEAR, "next": "later"}, "later": later})
    assert [(d.step, d.path, d.change, d.is_exit) for d in found] == [
        ("hear", ("next",), "changed", True),
        ("later", (), "added", False),
    ]


def test_one_branch_of_a_choice_is_told_by_its_place() -> None:
    new = {**PICK, "branches": [{"when": "input.n > 2", "next": "end"}]}
    assert one({"pick": PICK}, {"pick": new}).path == ("branches", 0, "when")


@pytest.mark.parametrize(
    ("old", "new", "path", "reach"),
    [
        (HEAR, {**HEAR, "purpose": "other"}, ("purpose",), Reach.NOBODY),
        (HEAR, {**HEAR, "correlation": "x"}, ("correlation",), Reach.VISITS),
        (HEAR, {**HEAR, "catch": {"timeout": "end"}}, ("catch", "timeout"), Reach.UNDER_WAY),
        (HEAR, {"kind": "sleep", "for": "1h", "next": "end"}, (), Reach.OBSTACLE),
        (CALL, {**CALL, "arguments": {"to": "bea"}}, ("arguments", "to"), Reach.VISITS),
        (CALL, {**CALL, "retry": {"max_attempts": 5}}, ("retry", "max_attempts"), Reach.UNDER_WAY),
        (CALL, {**CALL, "compensate": UNDO}, ("compensate",), Reach.VISITS),
        ({**CALL, "compensate": UNDO}, CALL, ("compensate",), Reach.OBSTACLE),
        (
            {**CALL, "compensate": UNDO},
            {**CALL, "compensate": {**UNDO, "tool": "look"}},
            ("compensate", "tool"),
            Reach.OBSTACLE,
        ),
        (
            {**CALL, "compensate": UNDO},
            {**CALL, "compensate": {**UNDO, "timeout": "1m"}},
            ("compensate", "timeout"),
            Reach.UNDER_WAY,
        ),
    ],
)
def test_whom_a_change_of_a_step_reaches(old: Steps, new: Steps, path: tuple[Any, ...], reach: Reach) -> None:
    found = one({"it": old}, {"it": new})
    assert (found.path, found.reach) == (path, reach)


def test_a_branch_that_is_gone_and_a_step_in_another_place_may_keep_workflows_from_moving() -> None:
    fewer = {**BOTH, "both": {**BOTH["both"], "branches": {"a": "hear", "c": "wait"}}}
    found = {(d.step, d.path): d.reach for d in between(BOTH, fewer)}
    assert found["both", ("branches", "b")] is Reach.OBSTACLE
    assert found["both", ("branches", "c")] is Reach.VISITS
    assert found["wait", ("place",)] is Reach.OBSTACLE
    assert found["waited", ("place",)] is Reach.VISITS


def test_a_step_that_is_gone_matters_only_if_it_can_be_under_way() -> None:
    more = {"set": {"kind": "assign", "set": {"a": 1}, "next": "call"}, "call": CALL}
    found = {d.step: d.reach for d in between({"hear": {**HEAR, "next": "set"}, **more}, {"hear": HEAR})}
    assert found == {"hear": Reach.UNDER_WAY, "set": Reach.VISITS, "call": Reach.OBSTACLE}


@pytest.mark.parametrize(
    ("more", "path", "reach"),
    [
        ({"purpose": "other"}, ("purpose",), Reach.NOBODY),
        ({"deadline": "2h"}, ("deadline",), Reach.STARTS),
        ({"budget": {"tokens": 9}}, ("budget", "tokens"), Reach.STARTS),
        ({"settle": "1m"}, ("settle",), Reach.UNDER_WAY),
        ({"input": {"type": "object"}}, ("input", "type"), Reach.OBSTACLE),
        ({"tools": {"send": {**TOOLS["send"], "timeout_ms": 1}}}, ("tools", "send", "timeout_ms"), Reach.UNDER_WAY),
        ({"tools": {"send": manifest("send", "once")}}, ("tools", "send", "effect"), Reach.OBSTACLE),
    ],
)
def test_whom_a_change_of_the_whole_reaches(more: Steps, path: tuple[Any, ...], reach: Reach) -> None:
    more = {**more, "tools": {**TOOLS, **more.get("tools", {})}}
    found = one({"call": CALL}, {"call": CALL}, **more)
    assert (found.step, found.path, found.reach) == ("", path, reach)


def test_a_tool_that_is_pinned_no_more_may_keep_workflows_from_moving() -> None:
    fewer = {name: tool for name, tool in TOOLS.items() if name != "pay"}
    assert one({"call": CALL}, {"call": CALL}, tools=fewer).reach is Reach.OBSTACLE
