"""The story of work side by side: branches below their step, how far a map is, children with what to type next."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.ops.matters import Matter, matters
from holdfast.ops.timeline_model import Branch, Child, Firings, Items, Visit
from holdfast.ops.timeline_side_by_side import stand
from holdfast.schemas import requests as req
from support.scenario import define
from support.stories import (
    assert_can_be_shown,
    assert_says_what_is_waited_for,
    assert_true_to_the_fold,
    story_of,
    text_of,
    visits,
)
from support.town import Town

Steps = dict[str, Any]

LOOK = {"kind": "tool", "tool": "look", "retry": {"max_attempts": 1}}
CHILD = define({"look": {**LOOK, "next": "end"}}, name="child")


def lines_of(text: str) -> list[tuple[int, str, str]]:
    """Depth, what and detail of each line of a story."""
    rows = text.split("\n\n")[1].splitlines()
    start = rows[0].index("what")
    found = []
    for row in rows[1:]:
        told = row[start:].rstrip()
        what, _, detail = told.strip().partition("  ")
        found.append(((len(told) - len(told.lstrip())) // 2, what, detail.strip()))
    return found


def branches(join: Any = "all", **more: Any) -> Town:
    """A branch of two steps, one that waits, and one that is itself two branches."""
    steps: Steps = {
        "both": {
            "kind": "parallel",
            "branches": {"desk": "look", "mail": "hear", "deep": "inner"},
            "join": join,
            "timeout": "1h",
            "next": "end",
            "catch": {"*": "broken"},
            **more,
        },
        "look": {**LOOK, "next": "nap"},
        "nap": {"kind": "sleep", "for": "1m", "next": "looked"},
        "looked": {"kind": "succeed", "output": "seen"},
        "hear": {"kind": "wait", "event": "said", "timeout": "30m", "next": "heard"},
        "heard": {"kind": "succeed"},
        "inner": {"kind": "parallel", "branches": {"a": "one", "b": "two"}, "timeout": "1h", "next": "dug"},
        "dug": {"kind": "succeed"},
        "one": {**LOOK, "arguments": {"of": 1}, "next": "one_end"},
        "one_end": {"kind": "succeed"},
        "two": {**LOOK, "arguments": {"of": 2}, "next": "two_end"},
        "two_end": {"kind": "succeed"},
    }
    definition = define(steps)
    town = Town.of(definition)
    town.start(definition)
    return town


def branches_that_all_complete() -> Town:
    town = branches()
    while town.tasks:
        town.answer(town.take())
    town.send("w-1", req.DeliverEvent(event_type="said", correlation="", payload={}))
    town.fire()
    return town


def branches_of_which_one_fails() -> Town:
    town = branches()
    town.fail(town.take())
    return town


def branches_of_which_one_is_enough() -> Town:
    town = branches(join="any")
    town.send("w-1", req.DeliverEvent(event_type="said", correlation="", payload={}))
    return town


def mapped(items: int = 5, **more: Any) -> Town:
    steps: Steps = {
        "each": {
            "kind": "map",
            "items": "${input.items}",
            "do": "look",
            "concurrency": 3,
            "timeout": "1h",
            "next": "end",
            **more,
        },
        "look": {**LOOK, "next": "seen"},
        "seen": {"kind": "succeed"},
    }
    definition = define(steps)
    town = Town.of(definition)
    town.start(definition, value={"items": list(range(items))})
    return town


def items_in_the_middle() -> Town:
    town = mapped(on_failure="ignore")
    town.answer(town.take())
    town.fail(town.take())
    return town


def items_that_all_end() -> Town:
    town = items_in_the_middle()
    while town.tasks:
        town.answer(town.take())
    return town


def items_that_fail() -> Town:
    town = mapped()
    town.fail(town.take())
    return town


def asking(**more: Any) -> Town:
    step = {"kind": "child", "definition": "child", "timeout": "30m", "next": "end", **more}
    definition = define({"ask": step}, children={"child": CHILD.hash})
    town = Town.of(CHILD, definition)
    town.start(definition)
    return town


def a_child_that_ends() -> Town:
    town = asking()
    town.answer(town.take())
    return town


def a_child_that_fails() -> Town:
    town = asking()
    town.fail(town.take())
    return town


def a_child_that_is_stopped() -> Town:
    town = asking()
    town.cancel()
    return town


def a_child_that_nobody_waits_for() -> Town:
    return asking(wait=False, on_parent_end="leave")


def a_schedule() -> Town:
    step = {"kind": "schedule", "timing": {"every": "1m", "overlap": "skip"}, "definition": "child", "next": "end"}
    definition = define({"every": step}, name="nightly", children={"child": CHILD.hash}, deadline="100d")
    town = Town.of(CHILD, definition)
    town.start(definition)
    for _ in range(3):
        town.fire()
    return town


Play = Callable[[], Town]
PLAYS: tuple[Play, ...] = (
    branches,
    branches_that_all_complete,
    branches_of_which_one_fails,
    branches_of_which_one_is_enough,
    items_in_the_middle,
    items_that_all_end,
    items_that_fail,
    asking,
    a_child_that_ends,
    a_child_that_fails,
    a_child_that_is_stopped,
    a_child_that_nobody_waits_for,
    a_schedule,
)
every_play = pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)


@every_play
def test_the_story_is_true_to_the_engines_own_fold(play: Play) -> None:
    for journal in play().messages.values():
        assert_true_to_the_fold(journal)


@every_play
def test_after_each_decision_a_workflow_has_ended_or_says_what_it_waits_for(play: Play) -> None:
    for journal in play().messages.values():
        assert_says_what_is_waited_for(journal)


@every_play
def test_every_prefix_can_be_shown_at_any_width(play: Play) -> None:
    town = play()
    for journal in town.messages.values():
        assert_can_be_shown(journal, town.now_ms)


def told(town: Town, workflow_id: str = "w-1") -> str:
    return text_of(story_of(town.messages[workflow_id]), town.now_ms)


def test_steps_stand_below_their_branch_and_branches_below_their_step() -> None:
    lines = lines_of(told(branches()))
    assert [(depth, what) for depth, what, _ in lines] == [
        (0, "both"),
        (1, "branch desk"),
        (2, "look"),
        (3, "tool look"),
        (1, "branch mail"),
        (2, "hear"),
        (3, "event said"),
        (1, "branch deep"),
        (2, "inner"),
        (3, "branch a"),
        (4, "one"),
        (5, "tool look"),
        (3, "branch b"),
        (4, "two"),
        (5, "tool look"),
    ]


def test_every_branch_that_waits_says_for_what_and_what_to_type() -> None:
    town = branches()
    found = matters(story_of(town.messages["w-1"]))
    assert [(matter.step, matter.kind) for matter in found] == [
        ("look", "call"),
        ("hear", "event"),
        ("one", "call"),
        ("two", "call"),
    ]
    assert "waits for  hear: the event said, until" in told(town)
    assert "next  holdfast signal w-1 said --data '{}'" in told(town)


def test_a_branch_says_how_it_ended_and_what_was_given_up() -> None:
    timeline = story_of(branches_of_which_one_fails().messages["w-1"])
    ended = {item.name: item.status for item in visits(timeline)["both"].items if isinstance(item, Branch)}
    assert ended == {"desk": "failed", "mail": "cancelled", "deep": "cancelled"}
    assert {name: visit.status for name, visit in visits(timeline).items()} == {
        "both": "failed",
        "look": "failed",
        "hear": "cancelled",
        "inner": "cancelled",
        "one": "cancelled",
        "two": "cancelled",
        "broken": "completed",
    }
    lines = {what: detail for _, what, detail in lines_of(text_of(timeline, timeline.updated_at_ms))}
    assert lines["branch desk"] == "failed: tool_error: it broke"
    assert lines["branch mail"] == "cancelled"
    assert lines["hear"] == "wait, cancelled: tool_error"
    assert lines["tool look"].endswith("nobody waits for it any more")


def test_a_map_says_how_far_it_is_and_which_items_failed() -> None:
    town = items_in_the_middle()
    timeline = story_of(town.messages["w-1"])
    (items,) = visits(timeline)["each"].items
    assert isinstance(items, Items)
    assert (items.total, items.started, items.ended, items.failed) == (5, 5, 2, 1)
    assert [child.status for child in items.children] == ["completed", "failed", "running", "running", "running"]
    assert [(depth, what, detail) for depth, what, detail in lines_of(told(town))[1:]] == [
        (1, "items", "2 of 5 ended, 1 failed, 3 under way"),
        (2, "item 1", "w-1:each.1.1: failed: tool_error: it broke"),
    ]
    assert matters(timeline) == [
        Matter(
            kind="items",
            step="each",
            what="3 of 5 items",
            until_ms=visits(timeline)["each"].timeout_at_ms,
            command="holdfast list --parent w-1",
        )
    ]


def test_items_that_need_a_person_are_named_where_the_tables_know_of_them() -> None:
    town = items_in_the_middle()
    timeline = story_of(town.messages["w-1"])
    stand(timeline, {f"w-1:each.1.{index}": ("blocked" if index == 4 else "waiting", "look") for index in range(5)})
    text = text_of(timeline, town.now_ms)
    assert "2 of 5 ended, 1 failed, 3 under way (1 blocked, 2 waiting)" in text
    details = [detail for _, _, detail in lines_of(text)]
    assert "w-1:each.1.4: blocked at look" in details
    assert "w-1:each.1.2: waiting at look" in details
    assert "w-1:each.1.0: waiting at look" not in details, "what has ended is known to have"
    assert "next  holdfast show w-1:each.1.4" in text


def test_many_items_of_a_kind_are_counted_and_not_listed() -> None:
    town = mapped(8, concurrency=8, on_failure="ignore")
    for _ in range(5):
        town.fail(town.take())
    details = [detail for _, what, detail in lines_of(told(town)) if what.startswith("item ") or not what]
    assert len(details) == 3
    assert [what for _, what, _ in lines_of(told(town))][-1] == "2 more failed"


def test_a_map_that_failed_says_which_item_to_look_at() -> None:
    text = told(items_that_fail())
    assert "1 of 5 items failed, item 0 with: it broke" in text
    assert "next  holdfast show w-1:each.1.0" in text
    assert (1, "items", "1 of 5 ended, 1 failed, 2 told to stop") in lines_of(text)


def test_a_child_says_its_id_where_it_stands_and_how_to_see_it() -> None:
    town = asking()
    timeline = story_of(town.messages["w-1"])
    (matter,) = matters(timeline)
    assert (matter.kind, matter.what, matter.command) == (
        "child",
        "the workflow w-1:ask.1.0",
        "holdfast show w-1:ask.1.0",
    )
    assert (1, "child", "w-1:ask.1.0: running") in lines_of(told(town))
    stand(timeline, {"w-1:ask.1.0": ("waiting", "look")})
    text = text_of(timeline, town.now_ms)
    assert (1, "child", "w-1:ask.1.0: waiting at look") in lines_of(text)
    assert "waits for  the workflow w-1:ask.1.0, waiting at look, until" in text


ENDS = [
    (a_child_that_ends, "w-1:ask.1.0: completed"),
    (a_child_that_fails, "w-1:ask.1.0: failed: tool_error: it broke"),
    (a_child_that_is_stopped, "w-1:ask.1.0: told to stop"),
    (a_child_that_nobody_waits_for, "w-1:ask.1.0: left to itself; not waited for"),
]


@pytest.mark.parametrize(("play", "detail"), ENDS)
def test_what_became_of_a_child_is_said(play: Play, detail: str) -> None:
    assert (1, "child", detail) in lines_of(told(play()))


def test_a_child_says_whose_it_is() -> None:
    town = items_in_the_middle()
    timeline = story_of(town.messages["w-1:each.1.2"])
    assert (timeline.parent_id, timeline.parent_step, timeline.parent_index, timeline.depth) == ("w-1", "each", 2, 1)
    assert "parent      w-1, step each, item 2 from look on" in text_of(timeline, town.now_ms)
    assert "parent      w-1, step ask\n" in re.sub(r" +\n", "\n", told(asking(), "w-1:ask.1.0"))
    assert "parent  " not in told(town)


def test_a_schedule_says_what_became_of_its_firings_and_when_the_next_is() -> None:
    town = a_schedule()
    timeline = story_of(town.messages["w-1"])
    firings = next(item for item in visits(timeline)["every"].items if isinstance(item, Firings))
    assert firings.outcomes == {"started": 1, "skipped": 2}
    kinds = [matter.kind for matter in matters(timeline)]
    assert kinds == ["child", "time"]
    assert "1 skipped" not in told(town)
    assert "1 started" in told(town)
    assert "next  holdfast list --parent w-1" in told(town)


def test_all_children_of_a_workflow_are_in_its_story() -> None:
    for play, count in ((items_in_the_middle, 5), (asking, 1), (a_schedule, 1), (branches, 0)):
        timeline = story_of(play().messages["w-1"])
        assert len(timeline.children) == count
        assert all(isinstance(child, Child) for child in timeline.children)


def test_what_belongs_to_a_branch_says_so_in_json() -> None:
    timeline = story_of(branches().messages["w-1"])
    scopes = {entry.step: entry.scope for entry in timeline.story if isinstance(entry, Visit)}
    assert scopes == {
        "both": "",
        "look": "both.1/desk",
        "hear": "both.1/mail",
        "inner": "both.1/deep",
        "one": "inner.1/a",
        "two": "inner.1/b",
    }
