"""Schedules for people: timing in words, next firings on the clocks of their zone, and one schedule as text."""

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from rich.console import Console

from holdfast.ops.schedule_text import policy_words, render, timing_words
from holdfast.ops.schedules import Firing, Run, firing_of, run_of, upcoming
from holdfast.streams.core.definition import ScheduleStep
from holdfast.streams.core.schedule import Timing
from holdfast.streams.core.times import parse_time_ms

NOW_MS = parse_time_ms("2026-03-27T12:00:00Z")
HOUR_MS = 3_600_000
ROW = {
    "tenant": "acme",
    "name": "nightly",
    "number": 1,
    "workflow_id": "schedule:nightly:1",
    "status": "waiting",
    "running_hash": "abcdef0123456789",
    "started_at": "2026-03-01 00:00:00.000",
    "ended_at": "1970-01-01 00:00:00.000",
    "reason": "",
    "acted_by": "",
    "acted_to": "2026-03-27 11:00:00.000",
    "started": 2,
    "last_nominal_at": "2026-03-27 11:00:00.000",
    "last_outcome": "started",
}


def timing(**fields: Any) -> Timing:
    return Timing.model_validate(fields)


NIGHTLY = timing(cron="30 2 * * *", zone="Europe/Paris")
WORDS = [
    (NIGHTLY, "30 2 * * * on the clocks of Europe/Paris"),
    (timing(every="1h"), "every 1h"),
    (timing(every="1h", offset="15m"), "every 1h plus 15m"),
    (timing(at="2026-12-24T18:00:00+01:00"), "once, at 2026-12-24 17:00:00 UTC"),
]


@pytest.mark.parametrize(("when", "words"), WORDS)
def test_a_timing_is_told_in_a_few_words(when: Timing, words: str) -> None:
    assert timing_words(when) == words


def test_what_else_a_timing_says_is_told_where_it_says_it() -> None:
    assert [name for name, _ in policy_words(NIGHTLY)] == ["overlap", "catch-up"]
    all_of_it = timing(every="1h", jitter="30s", start=1, end="2027-01-01T00:00:00Z", catch_up_window="2h")
    said = dict(policy_words(all_of_it))
    assert said["catch-up"].endswith("within 2h")
    assert said["until"] == "2027-01-01 00:00:00 UTC"
    assert {"jitter", "from"} <= said.keys()


def test_the_next_firings_are_told_on_the_clocks_of_the_zone() -> None:
    ahead = list(islice(upcoming(run_of(ROW), NIGHTLY, NOW_MS), 3))
    assert [(coming.utc, coming.local) for coming in ahead] == [
        ("2026-03-28T01:30:00Z", "2026-03-28T02:30:00+01:00"),
        ("2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00"),
        ("2026-03-30T00:30:00Z", "2026-03-30T02:30:00+02:00"),
    ]
    assert {coming.zone for coming in ahead} == {"Europe/Paris"}


def test_what_was_acted_on_and_what_is_past_does_not_come() -> None:
    run, hourly = run_of(ROW), timing(every="1h")
    assert next(upcoming(run, hourly, NOW_MS)).nominal_at_ms == NOW_MS + HOUR_MS
    ahead_of_us = replace(run, acted_to_ms=NOW_MS + HOUR_MS)
    assert next(upcoming(ahead_of_us, hourly, NOW_MS)).nominal_at_ms == NOW_MS + 2 * HOUR_MS


def test_what_jitter_puts_off_is_still_to_come() -> None:
    run, jittery = run_of({**ROW, "acted_to": "2026-03-27 10:00:00.000"}), timing(every="1h", jitter="1h")
    first = next(upcoming(run, jittery, NOW_MS - HOUR_MS))
    assert first.nominal_at_ms == NOW_MS - HOUR_MS < first.fires_at_ms < NOW_MS


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed"])
def test_nothing_comes_of_a_schedule_that_has_ended(status: str) -> None:
    run = run_of({**ROW, "status": status})
    assert run.ended
    assert list(islice(upcoming(run, NIGHTLY, NOW_MS), 1)) == []


STANDINGS = {
    "running": "active",
    "waiting": "active",
    "paused": "paused",
    "blocked": "blocked",
    "completed": "over",
    "cancelled": "deleted",
    "failed": "failed",
}


@pytest.mark.parametrize(("status", "standing"), STANDINGS.items())
def test_how_a_schedule_stands_follows_from_the_status_of_its_workflow(status: str, standing: str) -> None:
    assert run_of({**ROW, "status": status}).standing == standing


def test_only_a_schedule_that_failed_makes_up_for_what_it_missed() -> None:
    assert run_of({**ROW, "status": "cancelled"}).succession() == {}
    assert run_of({**ROW, "status": "failed"}).succession() == {"after_ms": NOW_MS - HOUR_MS}


def firing(**fields: Any) -> Firing:
    row = {
        "nominal_at": "2026-03-27 11:00:00.000",
        "outcome": "started",
        "acted_at": "2026-03-27 11:00:00.010",
        "schedule_id": "schedule:nightly:1",
        "started_id": "nightly-2026-03-27T11:00:00Z",
        "started_status": "completed",
        "refused": "",
    }
    return firing_of({**row, **fields})


def test_a_start_that_was_refused_is_told_as_such() -> None:
    refused = firing(refused="input_invalid", started_status="")
    assert (refused.outcome, refused.error, firing().outcome) == ("refused", "input_invalid", "started")


def text_of(run: Run, when: Timing = NIGHTLY, fired: tuple[Firing, ...] = ()) -> str:
    step = ScheduleStep(kind="schedule", timing=when, definition="report", next="over")
    ahead = tuple(islice(upcoming(run, when, NOW_MS), 2))
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(render(run, step, {"starts": "report @ 0123"}, fired, ahead, NOW_MS))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def test_a_schedule_is_told_with_its_last_and_its_next_firings_and_what_to_type() -> None:
    text = text_of(run_of(ROW), fired=(firing(outcome="skipped", started_id="", started_status=""), firing()))
    assert text.splitlines()[0] == "nightly  active"
    assert "2026-03-27 11:00:00  skipped" in text
    assert "2026-03-27 11:00:00  started  nightly-2026-03-27T11:00:00Z  completed" in text
    assert "2026-03-28 01:30:00  2026-03-28 02:30:00+01:00  in 13h 30m" in text
    assert 'next  holdfast schedules pause nightly --reason "..."' in text


def test_a_paused_schedule_says_by_whom_and_why_and_how_it_goes_on() -> None:
    text = text_of(run_of({**ROW, "status": "paused", "acted_by": "mia", "reason": "holidays"}))
    assert text.splitlines()[0] == "nightly  paused  by mia: holidays"
    assert "next, once it is resumed" in text
    assert 'holdfast schedules resume nightly --reason "..."' in text


def test_a_deleted_schedule_says_how_it_starts_anew() -> None:
    text = text_of(run_of({**ROW, "status": "cancelled", "ended_at": "2026-03-27 11:30:00.000"}))
    assert "ended 2026-03-27 11:30:00 UTC" in text
    assert "next  holdfast schedules apply FILE" in text


def test_text_from_outside_is_safe_to_print() -> None:
    text = text_of(run_of({**ROW, "status": "paused", "acted_by": "mia\x1b[2J", "reason": "a\u202eb"}))
    assert "\x1b" not in text
    assert "\u202e" not in text
