"""The `schedule` step: what becomes of every firing, in whatever state its workflow is."""

from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.streams.core.compile import CompiledDefinition
from support.scenario import START_MS, define
from support.town import Town

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
JOB = define({"work": {"kind": "tool", "tool": "look", "next": "end"}}, name="job")


def every_minute(**timing: Any) -> CompiledDefinition:
    """A schedule that fires at every whole minute."""
    step = {
        "kind": "schedule",
        "timing": {"every": "1m", **timing},
        "definition": "job",
        "input": {"from": "schedule"},
        "next": "end",
    }
    return define({"fire": step}, name="nightly", deadline="36500d", children={"job": JOB.hash})


def started(**timing: Any) -> Town:
    definition = every_minute(**timing)
    town = Town.of(JOB, definition)
    town.start(definition)
    return town


def outcomes(town: Town) -> list[str]:
    return [event.outcome for event in town.journals["w-1"] if isinstance(event, e.ScheduleFired)]


def jobs(town: Town) -> list[str]:
    return sorted(name for name in town.rows if name != "w-1")


def finish(town: Town) -> None:
    town.answer(town.take())


def changed(town: Town, **timing: Any) -> CompiledDefinition:
    """Let the schedule go on with another timing."""
    definition = every_minute(**timing)
    town.definitions[definition.hash] = definition
    town.send("w-1", req.MigrateWorkflow(definition_hash=definition.hash, reason="another timing"))
    return definition


def nominal(town: Town) -> list[str]:
    return [name.removeprefix("nightly-1970-01-01T") for name in jobs(town)]


FIRST = "nightly-1970-01-01T00:17:00Z"
SECOND = "nightly-1970-01-01T00:18:00Z"


def test_a_firing_starts_a_workflow_whose_id_tells_which_firing_it_was() -> None:
    town = started()
    assert town.state("w-1").status == "waiting"
    town.fire()
    assert jobs(town) == [FIRST]
    assert town.state(FIRST).input == {"from": "schedule"}
    finish(town)
    town.fire()
    assert jobs(town) == [FIRST, SECOND]
    assert outcomes(town) == ["started", "started"]


OVERLAPS = [
    # policy, what becomes of three firings while the first job runs, jobs in the end and how they stand
    ("skip", ["started", "skipped", "skipped"], ["running"]),
    ("allow", ["started", "started", "started"], ["running"] * 3),
    ("buffer_one", ["started", "buffered", "skipped"], ["running"]),
    ("cancel_old", ["started", "started", "started"], ["cancelled", "cancelled", "running"]),
]


@pytest.mark.parametrize(("policy", "became", "stand"), OVERLAPS)
def test_what_a_firing_does_while_an_earlier_workflow_runs_is_declared(
    policy: str, became: list[str], stand: list[str]
) -> None:
    town = started(overlap=policy)
    for _ in range(3):
        town.fire()
    assert outcomes(town) == became
    assert [town.state(name).status.value for name in jobs(town)] == stand


def test_a_firing_that_is_held_back_starts_as_soon_as_it_may() -> None:
    town = started(overlap="buffer_one")
    town.fire()
    town.fire()
    finish(town)
    assert jobs(town) == [FIRST, SECOND]
    assert outcomes(town) == ["started", "buffered", "started"]
    assert town.state("w-1").active["fire"].schedule.buffered_ms == 0  # type: ignore[union-attr]


def test_firings_that_were_missed_are_made_up_for_within_the_window() -> None:
    town = started(overlap="allow", catch_up_window="3m")
    town.now_ms += 10 * MINUTE_MS
    town.fire()
    assert outcomes(town) == ["lapsed", "started", "started", "started"]


def test_what_lapsed_is_one_entry_however_long_nobody_was_there() -> None:
    town = started(every="1h", catch_up_window="10s")
    town.now_ms += 1_000 * HOUR_MS
    town.fire()
    assert outcomes(town) == ["lapsed"]
    counted = [event.after_at_ms for event in town.journals["w-1"] if isinstance(event, e.ScheduleStarted)]
    assert counted[-1] == town.now_ms - 10_001, "up to where they lapsed"
    town.fire()
    assert outcomes(town) == ["lapsed", "started"]


def test_more_missed_firings_than_one_decision_acts_on_follow_in_the_next() -> None:
    town = started(overlap="allow", catch_up_window="1d")
    town.now_ms += 150 * MINUTE_MS
    town.fire()
    assert len(jobs(town)) == 100
    town.fire()
    assert len(jobs(town)) == 150
    assert town.state("w-1").active["fire"].wake_at_ms > town.now_ms


def test_a_paused_schedule_does_not_fire_and_catches_up_when_it_is_resumed() -> None:
    town = started(overlap="allow")
    town.send("w-1", req.PauseWorkflow(reason="holidays"))
    town.now_ms += 2 * MINUTE_MS
    town.look()
    assert jobs(town) == []
    town.send("w-1", req.ResumeWorkflow(reason="back", extend_ms=0))
    town.look()
    assert len(jobs(town)) == 2


def test_a_schedule_that_is_deleted_leaves_what_it_started_to_itself() -> None:
    town = started()
    town.fire()
    town.cancel()
    assert town.state("w-1").status == "cancelled"
    assert town.state(FIRST).status == "running"


def test_somebody_may_let_a_schedule_fire_now() -> None:
    town = started()
    town.fire()
    town.send("w-1", req.TriggerSchedule(reason="I want it now"), input_id="abcdefgh-1")
    assert outcomes(town) == ["started", "triggered"]
    assert len(jobs(town)) == 2
    town.fire()
    assert outcomes(town)[-1] == "skipped", "the timing goes on as before"


def test_only_a_schedule_can_be_triggered() -> None:
    town = Town.of(JOB)
    town.start(JOB)
    town.send("w-1", req.TriggerSchedule(reason="now"))
    assert town.journals["w-1"][-1].code == "not_a_schedule"  # type: ignore[attr-defined]


def test_a_schedule_ends_after_its_last_firing() -> None:
    town = started(end="1970-01-01T00:18:30Z", overlap="allow")
    town.fire()
    town.fire()
    assert town.state("w-1").status == "completed"
    assert len(jobs(town)) == 2


def test_a_last_firing_that_is_held_back_starts_before_the_schedule_ends() -> None:
    town = started(end="1970-01-01T00:18:30Z", overlap="buffer_one")
    town.fire()
    town.fire()
    assert outcomes(town) == ["started", "buffered"]
    assert town.state("w-1").status == "running"
    finish(town)
    assert outcomes(town) == ["started", "buffered", "started"]
    assert (jobs(town), town.state("w-1").status) == ([FIRST, SECOND], "completed")


def test_a_changed_timing_fires_from_the_change_on_and_not_for_times_before_it() -> None:
    town = started()
    town.fire()
    town.now_ms += 30_000
    changed(town, every="1m", offset="20s")
    town.look()
    assert nominal(town) == ["00:17:00Z"], "the new timing has 00:17:20, which nobody had promised then"
    town.fire()
    assert town.now_ms == 18 * MINUTE_MS + 20_000


def test_a_firing_that_the_old_timing_owes_is_made_up_for_under_the_new_one() -> None:
    town = started(overlap="allow")
    town.now_ms += 2 * MINUTE_MS
    changed(town, overlap="allow", jitter="1s")
    town.fire()
    town.fire()
    assert nominal(town)[:2] == ["00:17:00Z", "00:18:00Z"]


def test_a_changed_schedule_knows_what_runs_and_what_is_held_back() -> None:
    town = started(overlap="buffer_one")
    town.fire()
    town.fire()
    changed(town, every="10m", overlap="buffer_one")
    assert outcomes(town) == ["started", "buffered"]
    finish(town)
    assert outcomes(town) == ["started", "buffered", "started"]
    town.fire()
    assert outcomes(town)[-1] == "buffered"


def test_a_paused_schedule_that_is_changed_stays_paused_and_goes_on_by_the_new_timing() -> None:
    town = started(every="100d")
    town.send("w-1", req.PauseWorkflow(reason="the timing is wrong"))
    changed(town, overlap="allow")
    town.now_ms += 10 * MINUTE_MS
    town.look()
    assert (town.state("w-1").status, jobs(town)) == ("paused", [])
    town.send("w-1", req.ResumeWorkflow(reason="it is right", extend_ms=0))
    town.fire()
    assert len(jobs(town)) == 10


def test_a_schedule_that_is_changed_to_one_without_firings_ends() -> None:
    town = started()
    town.fire()
    changed(town, end="1970-01-01T00:17:30Z")
    assert town.state("w-1").status == "completed"


def test_two_schedules_of_one_name_start_every_firing_once() -> None:
    town = started(overlap="allow")
    town.start(every_minute(overlap="allow"), workflow_id="w-2")
    for _ in range(3):
        town.fire("w-1")
        town.look("w-2")
    assert len([name for name in jobs(town) if name != "w-2"]) == len(town.tasks) == 3
    refused = [event for event in town.journals["w-2"] if isinstance(event, e.ChildEnded)]
    assert [(event.outcome, event.error_class) for event in refused] == [("rejected", "workflow_exists")] * 3
    assert town.state("w-2").children == {}, "it waits for none of them"


def test_jitter_puts_a_firing_off_and_never_changes_its_id() -> None:
    town = started(jitter="30s")
    due_ms = town.state("w-1").active["fire"].wake_at_ms
    nominal_ms = 17 * MINUTE_MS
    assert nominal_ms < due_ms <= nominal_ms + 30_000
    town.now_ms = nominal_ms
    town.fire()
    assert jobs(town) == [FIRST]


def test_a_schedule_may_go_on_where_another_one_left_off() -> None:
    definition = every_minute(overlap="allow", catch_up_window="1h")
    town = Town.of(JOB, definition)
    town.start(definition, value={"after_ms": START_MS - 3 * MINUTE_MS})
    town.fire()
    assert len(jobs(town)) == 3


def test_every_firing_may_be_delivered_twice() -> None:
    town = started(overlap="allow")
    for _ in range(3):
        town.fire()
    for letter in list(town.letters):
        town.repeat(letter)
    assert len(jobs(town)) == 3
    assert len(town.tasks) == 3
