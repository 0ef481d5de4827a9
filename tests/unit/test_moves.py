"""Which workflows can be moved, told from their histories; and which conditions choose them."""

from typing import Any

import pytest

from holdfast.ops.commands.migrate import _tell
from holdfast.ops.errors import CommandError
from holdfast.ops.history import whole
from holdfast.ops.moves import Move, check, version_before
from holdfast.ops.selection import condition_of
from holdfast.schemas.record import changed
from holdfast.streams.core.compile import CompiledDefinition
from support.scenario import Scenario, define

Steps = dict[str, Any]
HEAR: Steps = {"kind": "wait", "event": "told", "timeout": "1h", "next": "end"}
OLD = define({"hear": HEAR})
LONGER = define({"hear": {**HEAR, "timeout": "2h"}})
ELSEWHERE = define({"listen": HEAR})
VERSIONS = {version.hash: version for version in (OLD, LONGER, ELSEWHERE)}


def waiting() -> Scenario:
    scenario = Scenario(OLD, versions=(LONGER, ELSEWHERE))
    scenario.start()
    return scenario


def asked(scenario: Scenario, to: CompiledDefinition | None) -> Move:
    return check("w-1", scenario.journal, to.hash if to else "", VERSIONS.get, scenario.now_ms)


def test_a_workflow_that_can_move_is_told_with_where_it_is() -> None:
    move = asked(waiting(), LONGER)
    assert (move.outcome, move.at, move.from_hash, move.to_hash) == ("can_move", ("hear",), OLD.hash, LONGER.hash)


def test_a_workflow_that_runs_by_that_version_is_there() -> None:
    assert asked(waiting(), OLD).outcome == "there"


def test_the_answer_is_what_the_engine_says() -> None:
    scenario = waiting()
    move = asked(scenario, ELSEWHERE)
    scenario.migrate(ELSEWHERE)
    refused: Any = scenario.last[0]
    assert (move.outcome, move.code, move.message) == ("cannot", refused.code, refused.message)
    assert "keep the steps that are under way" in move.cure


def test_a_workflow_that_has_ended_cannot_move() -> None:
    scenario = waiting()
    scenario.deliver("told")
    assert asked(scenario, LONGER).code == "workflow_finished"


def test_a_version_that_is_not_published_is_said_to_be_missing() -> None:
    scenario = waiting()
    assert check("w-1", scenario.journal, LONGER.hash, lambda _: None, 0).code == "definition_not_found"
    assert check("w-1", scenario.journal, "f" * 64, VERSIONS.get, 0).code == "definition_not_found"


def test_a_workflow_without_events_is_not_known() -> None:
    assert check("w-9", [], LONGER.hash, VERSIONS.get, 0).code == "workflow_not_found"


def test_the_way_back_is_to_the_version_before_the_last_move() -> None:
    scenario = waiting()
    assert asked(scenario, None).code == "never_moved"
    scenario.migrate(LONGER)
    assert version_before(scenario.journal) == OLD.hash
    move = asked(scenario, None)
    assert (move.outcome, move.from_hash, move.to_hash) == ("can_move", LONGER.hash, OLD.hash)


def test_a_history_is_whole_only_if_no_event_is_missing_or_changed() -> None:
    journal = waiting().journal
    assert list(whole(journal)) == journal
    altered = [*journal[:1], changed(journal[1], body=changed(journal[1].body, step="other")), *journal[2:]]
    for broken in (journal[1:], journal[:1] + journal[2:], altered):
        with pytest.raises(CommandError, match="is missing or not what it was"):
            list(whole(broken))


@pytest.mark.parametrize(
    "text",
    ["status = 'waiting'", "step IN ('a', 'b')", "last_error = ');--'", "a = 'it''s' AND (b OR c)", '"step" = 1'],
)
def test_a_condition_is_taken_as_it_stands(text: str) -> None:
    assert condition_of(text) == text


@pytest.mark.parametrize(
    "text", ["", " ", "1) OR (1 = 1", "(1", "1; DROP TABLE x", "1 -- x", "1 /* x */", "1 # x", "a = 'b", "$$x$$"]
)
def test_what_would_not_stay_one_condition_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="not one condition"):
        condition_of(text)


def test_that_nobody_is_meant_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    _tell([], as_json=False)
    assert capsys.readouterr().err == "no workflow is meant\n"


def test_the_table_says_who_cannot_move_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    with pytest.raises(typer.Exit) as ended:
        _tell([asked(waiting(), ELSEWHERE), asked(waiting(), LONGER)], as_json=False)
    assert ended.value.exit_code == 1
    told = capsys.readouterr()
    assert "cannot_migrate: Expected a version that the workflow can go on with" in told.out
    assert "1 can move, 1 cannot" in told.err
    assert "  cannot_migrate: keep the steps" in told.err
