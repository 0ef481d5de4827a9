"""Schedules: when each kind of timing fires, above all where clocks are changed, and what is made up for."""

from itertools import islice
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.schemas.ids import WORKFLOW_ID
from holdfast.streams.core.schedule import (
    Missed,
    Timing,
    fire_at_ms,
    firing_id,
    firings,
    missed_firings,
    next_firing,
)
from holdfast.streams.core.times import parse_time_ms, time_text

HOUR_MS = 3_600_000


def timing(**fields: Any) -> Timing:
    return Timing.model_validate(fields)


HOURLY = timing(every="1h")


def utc(*times: str) -> list[str]:
    """Times as RFC 3339 text in UTC, which compare well and read well."""
    return [time_text(parse_time_ms(time)) for time in times]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        # Times of day that the clocks skip: when they are put forward, once.
        (
            "Europe/Paris",
            "30 2 * * *",
            "2026-03-28T12:00:00+01:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "Europe/Paris",
            "0,30 2,3 * * *",
            "2026-03-29T00:00:00+01:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"],
        ),
        (
            "America/New_York",
            "30 2 * * *",
            "2026-03-08T00:00:00-05:00",
            ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"],
        ),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00:00+10:30", ["2026-10-04T02:30:00+11:00"]),
        (
            "Africa/Cairo",
            "0 0 * * *",
            "2026-04-23T12:00:00+02:00",
            ["2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"],
        ),
        ("America/Santiago", "30 0 * * SUN", "2026-09-01T00:00:00-04:00", ["2026-09-06T01:00:00-03:00"]),
        # Times of day that the clocks show twice: the first time only, whenever one asks.
        (
            "Europe/Paris",
            "30 2 * * *",
            "2026-10-24T12:00:00+02:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        ("Europe/Paris", "30 2 * * *", "2026-10-25T02:10:00+01:00", ["2026-10-26T02:30:00+01:00"]),
        (
            "America/New_York",
            "30 1 * * *",
            "2026-10-31T12:00:00-04:00",
            ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-04T12:00:00+11:00",
            ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
        ),
        (
            "Africa/Cairo",
            "30 23 * * *",
            "2026-10-29T12:00:00+03:00",
            ["2026-10-29T23:30:00+03:00", "2026-10-30T23:30:00+02:00"],
        ),
        # Expressions that follow the clocks: what is skipped does not happen, what is shown twice happens twice.
        (
            "Europe/Paris",
            "*/30 2 * * *",
            "2026-03-28T12:00:00+01:00",
            ["2026-03-30T02:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "Europe/Paris",
            "30 * * * *",
            "2026-03-29T01:00:00+01:00",
            ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"],
        ),
        (
            "Europe/Paris",
            "*/30 2 * * *",
            "2026-10-24T12:00:00+02:00",
            [
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T02:30:00+01:00",
                "2026-10-26T02:00:00+01:00",
            ],
        ),
        # Midnight is the end of the gap, so this is 01:00, the first moment of that Sunday.
        (
            "America/Santiago",
            "*/30 * * * SUN",
            "2026-09-05T12:00:00-04:00",
            ["2026-09-06T01:00:00-03:00", "2026-09-06T01:30:00-03:00"],
        ),
        (
            "America/Santiago",
            "*/30 23 * * SAT",
            "2026-04-04T12:00:00-03:00",
            [
                "2026-04-04T23:00:00-03:00",
                "2026-04-04T23:30:00-03:00",
                "2026-04-04T23:00:00-04:00",
                "2026-04-04T23:30:00-04:00",
                "2026-04-11T23:00:00-04:00",
            ],
        ),
        (
            "Australia/Lord_Howe",
            "*/15 1 * * *",
            "2026-04-05T01:20:00+11:00",
            [
                "2026-04-05T01:30:00+11:00",
                "2026-04-05T01:45:00+11:00",
                "2026-04-05T01:30:00+10:30",
                "2026-04-05T01:45:00+10:30",
            ],
        ),
        # Half an hour's change leaves the rest of the day alone.
        (
            "Australia/Lord_Howe",
            "*/15 4 * * *",
            "2026-10-04T00:00:00+10:30",
            ["2026-10-04T04:00:00+11:00", "2026-10-04T04:15:00+11:00", "2026-10-04T04:30:00+11:00"],
        ),
        ("Australia/Lord_Howe", "*/15 4 * * *", "2026-04-04T12:00:00+11:00", ["2026-04-05T04:00:00+10:30"]),
        (
            "Asia/Kolkata",
            "0 9 * * mon-fri",
            "2026-03-27T12:00:00+05:30",
            ["2026-03-30T09:00:00+05:30", "2026-03-31T09:00:00+05:30"],
        ),
        # Months and years.
        ("UTC", "0 12 29 FEB *", "2024-03-01T00:00:00Z", ["2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"]),
        ("UTC", "0 12 29 2 *", "2096-03-01T00:00:00Z", ["2104-02-29T12:00:00Z"]),
        ("UTC", "0 0 31 * *", "2026-01-31T00:00:00Z", ["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"]),
        ("UTC", "0 0 L * *", "2028-01-31T00:00:00Z", ["2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"]),
        ("UTC", "0 0 LW * *", "2026-01-01T00:00:00Z", ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"]),
        ("UTC", "0 0 * * MON#2", "2026-01-01T00:00:00Z", ["2026-01-12T00:00:00Z", "2026-02-09T00:00:00Z"]),
        ("UTC", "0 0 * * 5L", "2026-01-01T00:00:00Z", ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"]),
        ("UTC", "59 23 31 12 *", "2026-12-31T23:58:59.999Z", ["2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"]),
        # Steps from one value go on to the last, steps within a range do not.
        ("UTC", "50/5 9 * * *", "2026-01-01T09:00:00Z", ["2026-01-01T09:50:00Z", "2026-01-01T09:55:00Z"]),
        ("UTC", "50-50/5 9 * * *", "2026-01-01T09:00:00Z", ["2026-01-01T09:50:00Z", "2026-01-02T09:50:00Z"]),
        # The 13th or a Friday; but a Friday among the days from the 1st in steps of 12.
        ("UTC", "0 0 13 * FRI", "2026-01-03T00:00:00Z", ["2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"]),
        ("UTC", "0 0 */12 * FRI", "2026-01-03T00:00:00Z", ["2026-02-13T00:00:00Z", "2026-03-13T00:00:00Z"]),
    ],
)
def test_when_cron_fires(zone: str, cron: str, after: str, expected: list[str]) -> None:
    found = islice(firings(Timing(cron=cron, zone=zone), parse_time_ms(after)), len(expected))
    assert [time_text(ms) for ms in found] == utc(*expected)


@pytest.mark.parametrize(
    ("given", "after", "expected"),
    [
        # An interval is time that passes, whatever clocks do: 08:00 UTC is 09:00 in Paris, then 10:00.
        (
            timing(every="24h", offset="8h"),
            "2026-03-28T07:00:00Z",
            ["2026-03-28T09:00:00+01:00", "2026-03-29T10:00:00+02:00"],
        ),
        (timing(every="1h"), "2026-03-29T00:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]),
        (timing(every="1h"), "2026-03-29T00:59:59.999Z", ["2026-03-29T01:00:00Z"]),
        (timing(every="90s", offset="1s"), "1970-01-01T00:00:00Z", ["1970-01-01T00:00:01Z", "1970-01-01T00:01:31Z"]),
        (timing(every="7d"), "2026-01-01T00:00:00Z", ["2026-01-08T00:00:00Z", "2026-01-15T00:00:00Z"]),
        (timing(at="2026-03-29T09:00:00+02:00"), "2026-01-01T00:00:00Z", ["2026-03-29T07:00:00Z"]),
        (timing(at="2026-03-29T09:00:00+02:00"), "2026-03-29T07:00:00Z", []),
        # `start` may be a firing, `end` may not.
        (
            timing(every="1h", start="2026-01-01T01:00:00Z", end="2026-01-01T03:00:00Z"),
            "2020-01-01T00:00:00Z",
            ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"],
        ),
        (
            timing(cron="0 0 1 1 *", zone="UTC", start="2026-01-01T00:00:00Z", end="2028-01-01T00:00:00Z"),
            "2020-01-01T00:00:00Z",
            ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"],
        ),
        (timing(every="1h"), "2999-12-31T22:30:00Z", ["2999-12-31T23:00:00Z"]),
        (timing(cron="0 * * * *", zone="Asia/Kolkata"), "2999-12-31T23:00:00Z", ["2999-12-31T23:30:00Z"]),
    ],
)
def test_when_the_others_fire_and_what_bounds_them(given: Timing, after: str, expected: list[str]) -> None:
    found = islice(firings(given, parse_time_ms(after)), len(expected) or 1)
    assert [time_text(ms) for ms in found] == utc(*expected)


def test_a_bounded_timing_has_a_last_firing() -> None:
    given = timing(every="1h", start="2026-01-01T01:00:00Z", end="2026-01-01T03:00:00Z")
    assert len(list(firings(given, 0))) == 2
    assert next_firing(given, parse_time_ms("2026-01-01T02:00:00Z")) is None
    assert next_firing(HOURLY, parse_time_ms("2999-12-31T23:00:00Z")) is None
    assert next_firing(timing(cron="0 0 * * *", zone="UTC"), parse_time_ms("9999-12-31T23:59:59Z")) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give exactly one of cron, every and at"),
        ({"every": "1h", "at": "2026-01-01T00:00:00Z"}, "give exactly one of cron, every and at"),
        ({"cron": "0 9 * * *"}, "cron needs a zone"),
        ({"every": "1h", "zone": "UTC"}, "a zone goes with cron only"),
        ({"every": "1h", "offset": "1h"}, "an offset goes with every, and is shorter"),
        ({"cron": "0 9 * * *", "zone": "UTC", "offset": "1m"}, "an offset goes with every"),
        ({"cron": "0 9 * * *", "zone": "Paris"}, "such as Europe/Paris"),
        ({"cron": "0 9 * *", "zone": "UTC"}, "is not a cron expression (4 instead of 5 fields)"),
        ({"cron": "0 0 9 * * *", "zone": "UTC"}, "is not a cron expression (6 instead of 5 fields)"),
        ({"cron": "@daily", "zone": "UTC"}, "such as 30 2 * * MON-FRI"),
        ({"cron": "60 9 * * *", "zone": "UTC"}, "is not a cron expression (bad minute)"),
        ({"cron": "0 9 * * FRI-SUN", "zone": "UTC"}, "is not a cron expression (bad day-of-week)"),
        ({"cron": "0 9 * * " + "9" * 5000, "zone": "UTC"}, "is not a cron expression"),
        ({"cron": "0 9 30 2 *", "zone": "UTC"}, "is not a cron expression (bad day-of-month)"),
        ({"cron": "0 9 */30 2 MON#5", "zone": "UTC"}, "it never fires"),
        (
            {"cron": "0 9 29 2 *", "zone": "UTC", "start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"},
            "it never fires",
        ),
        ({"at": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "it never fires"),
        ({"every": "1h", "start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "it never fires"),
        ({"every": "10ms"}, "greater than or equal to 1000"),
        ({"every": "1h", "catch_up_window": 0}, "greater than or equal to 10000"),
        ({"every": "1h", "overlap": "both"}, "'skip', 'buffer_one', 'allow' or 'cancel_old'"),
        ({"at": "2026-01-01"}, "is not a time"),
        ({"every": "1h", "timezone": "UTC"}, "Extra inputs are not permitted"),
    ],
)
def test_a_mistake_says_what_is_wrong(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Timing.model_validate(fields)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        timing(cron="30  2 * * mon-fri", zone="Europe/Paris", jitter="5m", overlap="cancel_old"),
        timing(every="1h", offset="10m", start="2026-01-01T00:00:00+01:00"),
        timing(at="2026-01-01T00:00:00+01:00", catch_up_window="2h"),
    ],
)
def test_a_timing_survives_its_canonical_form(given: Timing) -> None:
    assert Timing.model_validate(given.model_dump(mode="json", by_alias=True)) == given


def test_layout_and_case_of_an_expression_do_not_matter() -> None:
    given = timing(cron=" 30  2 * jan mon-fri ", zone="UTC")
    assert given == timing(cron="30 2 * JAN MON-FRI", zone="UTC")


@pytest.mark.parametrize(
    ("given", "after_h", "now_h", "limit", "missed"),
    [
        (HOURLY, 10, 10.9, 5, Missed((), more=False, lapsed_ms=None)),
        (HOURLY, 10, 11, 5, Missed((11,), more=False, lapsed_ms=None)),
        (HOURLY, 10, 13.5, 3, Missed((11, 12, 13), more=False, lapsed_ms=None)),
        (HOURLY, 10, 13.5, 2, Missed((11, 12), more=True, lapsed_ms=None)),
        # The window is a day: one firing at its edge is still due, all before it have lapsed.
        (HOURLY, 10, 35, 1, Missed((11,), more=True, lapsed_ms=None)),
        (HOURLY, 10, 40, 2, Missed((16, 17), more=True, lapsed_ms=11)),
        (timing(every="1h", catch_up_window="90m"), 10, 20, 9, Missed((19, 20), more=False, lapsed_ms=11)),
        # What may happen late because of jitter is not late yet.
        (
            timing(every="1h", catch_up_window="10s", jitter="1h"),
            10,
            20.5,
            9,
            Missed((20,), more=False, lapsed_ms=11),
        ),
        (timing(at=11 * HOUR_MS), 10, 400, 9, Missed((), more=False, lapsed_ms=11)),
        (timing(at=11 * HOUR_MS), 11, 400, 9, Missed((), more=False, lapsed_ms=None)),
    ],
)
def test_what_was_missed(given: Timing, after_h: int, now_h: float, limit: int, missed: Missed) -> None:
    found = missed_firings(given, after_h * HOUR_MS, int(now_h * HOUR_MS), limit)
    assert found == Missed(
        due_ms=tuple(hour * HOUR_MS for hour in missed.due_ms),
        more=missed.more,
        lapsed_ms=missed.lapsed_ms and missed.lapsed_ms * HOUR_MS,
    )


def test_jitter_is_the_firing_s_own() -> None:
    given = timing(every="1h", jitter="30m")
    late = {name: fire_at_ms(given, name, HOUR_MS) - HOUR_MS for name in ("a", "b")}
    assert late == {name: fire_at_ms(given, name, HOUR_MS) - HOUR_MS for name in ("a", "b")}
    assert late["a"] != late["b"] != fire_at_ms(given, "b", 2 * HOUR_MS) - 2 * HOUR_MS
    assert fire_at_ms(HOURLY, "a", HOUR_MS) == HOUR_MS


def test_jitter_spreads_firings_over_all_of_it() -> None:
    given = timing(every="24h", jitter="1h")
    late = [fire_at_ms(given, f"schedule-{n}", 0) / HOUR_MS for n in range(1_000)]
    assert min(late) < 0.05
    assert max(late) > 0.95
    assert 0.45 < sum(late) / len(late) < 0.55


@pytest.mark.parametrize(
    ("name", "nominal", "workflow_id"),
    [
        ("nightly", "2026-03-29T03:00:00+02:00", "nightly-2026-03-29T01:00:00Z"),
        ("a.b_C:1", "2026-03-29T03:00:00.250+02:00", "a.b_C:1-2026-03-29T01:00:00.250Z"),
        ("x" * 103, "2026-03-29T03:00:00.250+02:00", "x" * 103 + "-2026-03-29T01:00:00.250Z"),
    ],
)
def test_a_firing_starts_a_workflow_whose_id_is_its_nominal_time(name: str, nominal: str, workflow_id: str) -> None:
    assert firing_id(name, parse_time_ms(nominal)) == workflow_id
    assert WORKFLOW_ID.fullmatch(workflow_id)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "x" * 108])
def test_a_name_that_gives_no_workflow_id_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a workflow id"):
        firing_id(name, 0)
