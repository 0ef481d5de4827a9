"""Moving a workflow that runs to another version of its definition, and why that may not be possible."""

from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.streams.core.compile import CompiledDefinition
from support.scenario import Scenario, define, only

Steps = dict[str, Any]
HEAR: Steps = {"kind": "wait", "event": "told", "timeout": "1h", "next": "end"}
CALL: Steps = {"kind": "tool", "tool": "slow", "next": "end"}
BOOK: Steps = {
    "kind": "tool",
    "tool": "send",
    "compensate": {"tool": "send", "arguments": {"undo": "${steps.book.output}"}},
    "next": "hear",
}
BOTH: Steps = {
    "both": {"kind": "parallel", "branches": {"a": "a", "b": "b"}, "timeout": "1h", "next": "end"},
    "a": {**HEAR, "next": "a_end"},
    "a_end": {"kind": "succeed"},
    "b": {**HEAR, "next": "b_end"},
    "b_end": {"kind": "succeed"},
}


def moving(old: Steps, new: Steps, **more: Any) -> tuple[Scenario, CompiledDefinition]:
    target = define(new, **more)
    scenario = Scenario(define(old), versions=(target,))
    scenario.start()
    return scenario, target


def test_a_workflow_goes_on_under_the_version_that_it_was_moved_to() -> None:
    new: Steps = {"hear": {**HEAR, "next": "more"}, "more": {"kind": "succeed", "output": "by the new version"}}
    scenario, target = moving({"hear": HEAR}, new)
    before = scenario.state.definition_hash
    scenario.migrate(target)
    migrated = only(scenario.last, e.WorkflowMigrated)
    assert (migrated.from_definition_hash, migrated.to_definition_hash) == (before, target.hash)
    scenario.deliver("told")
    assert scenario.state.output == "by the new version"


def test_a_move_can_be_taken_back() -> None:
    scenario, target = moving({"hear": HEAR}, {"hear": {**HEAR, "next": "broken"}})
    scenario.migrate(target)
    scenario.migrate(scenario.definition)
    scenario.deliver("told")
    assert scenario.state.status == "completed"


def test_a_blocked_workflow_is_moved_and_then_goes_on() -> None:
    """What a move is most often for: a definition that was wrong."""
    retry = {"max_attempts": 1, "exhausted": "block"}
    scenario, target = moving({"go": {**CALL, "retry": retry}}, {"go": {**CALL, "arguments": {"right": True}}})
    scenario.failure(scenario.take(), "tool_error")
    scenario.migrate(target)
    assert scenario.state.status == "blocked"
    scenario.retry("go")
    assert scenario.take().arguments == {"right": True}


OBSTACLES: list[tuple[Steps, Steps, str]] = [
    ({"hear": HEAR}, {"other": HEAR}, "step 'hear' is under way, and the new version does not have it"),
    ({"hear": HEAR}, {"hear": {"kind": "sleep", "for": "1h", "next": "end"}}, "has a sleep step of that name"),
    ({"go": CALL}, {"go": {**CALL, "tool": "send"}}, ""),
    (
        {"book": BOOK, "hear": HEAR},
        {"book": {**BOOK, "compensate": None}, "hear": HEAR},
        "'book' may have to be undone by send, which the new version does not do",
    ),
    (BOTH, {**BOTH, "both": {**BOTH["both"], "branches": {"a": "a", "c": "b"}}}, "branch 'b' of 'both' runs"),
]


@pytest.mark.parametrize(("old", "new", "why"), OBSTACLES)
def test_what_is_under_way_must_have_a_place_in_the_new_version(old: Steps, new: Steps, why: str) -> None:
    scenario, target = moving(old, new)
    if "book" in old:
        scenario.tool_result(scenario.take(), "b-1")
    scenario.migrate(target)
    if why:
        refused = only(scenario.last, e.InputRejected)
        assert refused.code == "cannot_migrate"
        assert why in refused.message
    else:
        assert scenario.names == ["WorkflowMigrated"]


def test_a_call_under_way_keeps_its_tool_and_effect() -> None:
    scenario, _ = moving({"go": CALL}, {"go": CALL})
    tools = {**scenario.definition.definition.tools}
    changed = {**tools["slow"].model_dump(), "effect": "once"}
    target = define({"go": CALL}, tools={"slow": changed})
    scenario.versions = (target,)
    scenario.migrate(target)
    assert "slow is being called as keyed" in only(scenario.last, e.InputRejected).message


def test_an_input_that_the_new_version_does_not_take_stays_where_it_is() -> None:
    scenario, target = moving({"hear": HEAR}, {"hear": HEAR}, input={"type": "object", "required": ["n"]})
    scenario.migrate(target)
    assert "its input does not fit" in only(scenario.last, e.InputRejected).message


def test_an_unknown_version_and_an_ended_workflow_are_refused() -> None:
    scenario, target = moving({"hear": HEAR}, {"hear": HEAR, "end": {"kind": "succeed", "output": 1}})
    scenario.versions = ()
    scenario.migrate(target)
    assert only(scenario.last, e.InputRejected).code == "definition_not_found"
    scenario.versions = (target,)
    scenario.deliver("told")
    scenario.migrate(target)
    assert only(scenario.last, e.InputRejected).code == "workflow_finished"
