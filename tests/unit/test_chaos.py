"""What a chaos run is drawn from, and what it counts as wrong."""

from collections import Counter
from typing import Any

import pytest

from holdfast.ops.chaos.checks import compare_effects
from holdfast.ops.chaos.faults import KILLED, SESSION_TIMEOUT_MS, SUSPENDED_S, schedule
from holdfast.ops.chaos.mix import CHILD, FEWEST_STEPS, generate
from holdfast.ops.chaos.run import MUST_BE_ZERO, passed
from holdfast.ops.commands.chaos import rows_of
from holdfast.streams.core.compile import compile_definition

FINE = {"workflows": 3, "finished": 3, **dict.fromkeys(MUST_BE_ZERO, 0)}


def test_one_seed_gives_one_schedule_and_one_mix() -> None:
    assert schedule(5, 12, 3) == schedule(5, 12, 3)
    assert schedule(5, 12, 3) != schedule(6, 12, 3)
    one, other = generate(5, 40), generate(5, 40)
    assert one.visits == other.visits
    assert [d.hash for d in one.definitions] == [d.hash for d in other.definitions]
    assert generate(6, 40).visits != one.visits


def test_a_schedule_has_as_many_faults_as_asked_for_and_hits_every_role() -> None:
    faults = schedule(1, 7, 4)
    assert Counter(fault.role for fault in faults if not fault.for_s) == Counter(KILLED)
    assert {fault.role for fault in faults if fault.for_s} == set(SUSPENDED_S)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)


def test_suspensions_outlast_the_session() -> None:
    assert all(seconds > SESSION_TIMEOUT_MS / 1000 for seconds in SUSPENDED_S.values())


@pytest.mark.parametrize("seed", range(5))
def test_every_generated_definition_may_run_and_has_work_to_do(seed: int) -> None:
    for definition in generate(seed, 1).definitions:
        assert compile_definition(definition).hash == definition.hash
        assert len(definition.steps) > FEWEST_STEPS or definition.name == CHILD


def test_a_mix_has_every_kind_of_step_and_trouble() -> None:
    mix = generate(3, 200)
    kinds = {step.kind for definition in mix.definitions for step in definition.steps.values()}
    tools = {step.tool for d in mix.definitions for step in d.steps.values() if step.kind == "tool"}
    assert kinds == {
        *("tool", "wait", "approval", "sleep", "choice", "agent", "succeed"),
        *("parallel", "map", "child"),
    }
    assert tools == {"chaos_look", "chaos_apply", "chaos_apply_claimed"}
    assert any(visit.early for visit in mix.visits)
    assert any(visit.doubled for visit in mix.visits)
    assert 0 < sum(visit.shape == "chaos-agent" for visit in mix.visits) < 20


def accepted(key: str, ref: str) -> dict[str, Any]:
    return {"entry": "accepted", "what": "effect", "idempotency_key": key, "body": {"ref": ref}}


def test_effects_that_fit_are_not_counted() -> None:
    found = compare_effects([accepted("k1", "a"), {"entry": "request"}, accepted("k2", "b")], {"k1", "k2"})
    assert (found.accepted, found.doubled, found.missing, found.unrecorded) == (2, (), (), ())


def test_an_effect_that_came_under_two_keys_is_doubled() -> None:
    found = compare_effects([accepted("k1", "a"), accepted("k2", "a")], {"k1", "k2"})
    assert found.doubled == ("a",)


def test_an_effect_that_only_one_side_knows_is_missing() -> None:
    found = compare_effects([accepted("k1", "a")], {"k2"})
    assert (found.missing, found.unrecorded) == (("k2",), ("k1",))


def test_a_run_without_findings_has_passed() -> None:
    assert passed(FINE)


@pytest.mark.parametrize("name", [*MUST_BE_ZERO, "finished"])
def test_a_run_with_any_count_off_has_not(name: str) -> None:
    assert not passed({**FINE, name: 1})


def test_people_see_what_is_off() -> None:
    rows = rows_of({**FINE, "rows_differ": 2, "faults": {"kill sink": 1, "total": 1}, "samples": {}}, MUST_BE_ZERO)
    by_name = {row["figure"]: row for row in rows}
    assert by_name["rows differ"][""] == "off"
    assert by_name["tasks missing"][""] == "ok"
    assert by_name["faults"]["value"] == ["1 x kill sink", "1 x total"]
    assert "samples" not in by_name
