"""Laws of calendar windows and schedules, in every zone; where clocks are changed, against a look at every minute."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from holdfast.schemas.ids import WORKFLOW_ID
from holdfast.streams.core.calendar import Window, parse_window
from holdfast.streams.core.cron import next_match_ms, parse_cron
from holdfast.streams.core.schedule import Timing, fire_at_ms, firing_id, firings, missed_firings, next_firing
from holdfast.streams.core.times import END_OF_TIME_MS, parse_time_ms, time_text
from holdfast.streams.core.zones import load_zone, local_time, zone_names

MINUTE_MS, DAY_MS = 60_000, 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEK = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

# A zone, and a day on which its clocks are changed: by an hour, half an hour and two hours, at night and at midnight.
CHANGES = (
    ("Europe/Paris", date(2026, 3, 29)),
    ("Europe/Paris", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Africa/Cairo", date(2026, 10, 29)),
    ("America/Santiago", date(2026, 4, 4)),
    ("America/Santiago", date(2026, 9, 6)),
    ("America/Havana", date(2026, 3, 8)),
    ("America/Havana", date(2026, 11, 1)),
    ("America/St_Johns", date(2010, 11, 7)),
    ("Antarctica/Troll", date(2026, 3, 29)),
    ("Antarctica/Troll", date(2026, 10, 25)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Asia/Kolkata", date(2026, 3, 29)),
)
# Clocks of today: until 1972 some were off by odd seconds.
MOMENTS = st.integers(5 * 365 * DAY_MS, 200 * 365 * DAY_MS)
ZONES = st.sampled_from(sorted(zone_names()))
TIMES = st.tuples(st.integers(0, 23), st.sampled_from([0, 1, 15, 29, 30, 31, 45, 59]))


def midnight_ms(day: date) -> int:
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


@st.composite
def spans(draw: st.DrawFn) -> str:
    start = draw(TIMES)
    end = draw((TIMES | st.just((24, 0))).filter(lambda end: end != start))
    return f"{start[0]:02}:{start[1]:02}-{end[0]:02}:{end[1]:02}"


@st.composite
def windows(draw: st.DrawFn, zones: st.SearchStrategy[str] = ZONES) -> Window:
    days = ",".join(draw(st.lists(st.sampled_from([day.capitalize() for day in WEEK]), min_size=1, max_size=7)))
    times = ",".join(draw(st.lists(spans(), min_size=1, max_size=3)))
    return parse_window(f"{days} {times} {draw(zones)}")


def opened(window: Window, minutes: range) -> list[tuple[int, int]]:
    """From the first to the last minute that the clocks show within each span of each day: when the window is open."""
    zone = load_zone(window.zone)
    shown: dict[tuple[date, tuple[int, int]], list[int]] = defaultdict(list)
    for ms in minutes:
        local = local_time(ms, zone)
        minute = local.hour * 60 + local.minute
        for days_ago in (0, 1):
            day = local.date() - timedelta(days=days_ago)
            for start, end in window.spans if day.weekday() in window.days else ():
                if start <= minute + 1440 * days_ago < end:
                    shown[day, (start, end)].append(ms)
    return [(found[0], found[-1] + MINUTE_MS) for found in shown.values()]


@given(st.data(), st.sampled_from(CHANGES))
def test_a_window_is_open_from_the_first_to_the_last_minute_that_clocks_show_in_it(
    data: st.DataObject, change: tuple[str, date]
) -> None:
    zone, day = change
    window = data.draw(windows(st.just(zone)))
    noon = midnight_ms(day) + DAY_MS // 2
    expected = opened(window, range(noon - 4 * DAY_MS, noon + 4 * DAY_MS, MINUTE_MS))
    edges = sorted({edge for opens, closes in expected for edge in (opens, closes)})
    near = st.sampled_from(edges) if edges else st.nothing()
    minute = st.integers(-36 * 60, 36 * 60).map(lambda n: noon + n * MINUTE_MS)
    for ms in data.draw(st.lists(minute | near, min_size=1, max_size=20)):
        if abs(ms - noon) < 2 * DAY_MS:
            assert window.contains(ms) == any(opens <= ms < closes for opens, closes in expected)
            later = [max(ms, opens) for opens, closes in expected if ms < closes]
            if later:
                assert window.next_open_ms(ms) == min(later)


@given(windows(), MOMENTS, st.data())
def test_a_window_opens_next_at_the_first_minute_at_which_it_is_open(
    window: Window, now_ms: int, data: st.DataObject
) -> None:
    opens_ms = window.next_open_ms(now_ms)
    assert opens_ms >= now_ms
    assert window.contains(opens_ms)
    assert window.next_open_ms(opens_ms) == opens_ms
    local = local_time(opens_ms, load_zone(window.zone))
    if opens_ms > now_ms:
        assert not window.contains(opens_ms - 1)
        assert (local.second, local.microsecond) == (0, 0)
        before = data.draw(st.integers(now_ms, opens_ms - 1))
        assert not window.contains(before)
        assert window.next_open_ms(before) == opens_ms


@given(windows())
def test_a_window_is_its_text(window: Window) -> None:
    assert parse_window(str(window)) == window
    assert str(parse_window(str(window))) == str(window)


@given(
    st.text() | st.from_regex(r"[A-Z][a-z]{2}(-[A-Z][a-z]{2})? \d\d:\d\d-\d\d:\d\d (UTC|Europe/Paris)", fullmatch=True)
)
def test_any_text_is_a_window_or_refused(text: str) -> None:
    try:
        window = parse_window(text)
    except ValueError:
        return
    assert window.contains(window.next_open_ms(0))


class Expression(NamedTuple):
    """A cron expression, and the minutes, hours and week days (0 is Sunday) that it means."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]

    def fires(self, local: datetime) -> bool:
        """True if the clocks show a time that the expression means."""
        day = local.isoweekday() % 7
        return local.minute in self.minutes and local.hour in self.hours and day in self.days

    @property
    def follows_the_clocks(self) -> bool:
        minute, hour, *_ = self.text.split()
        return "*" in (minute[0], hour[0])


@st.composite
def fields(draw: st.DrawFn, size: int) -> tuple[str, frozenset[int]]:
    """A field for values from 0 to size - 1: its text, and the values."""
    first, last = sorted((draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))))
    step = draw(st.integers(1, size - 1))
    listed = draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=4))
    return draw(
        st.sampled_from(
            [
                ("*", frozenset(range(size))),
                (f"*/{step}", frozenset(range(0, size, step))),
                (f"{first}-{last}", frozenset(range(first, last + 1))),
                (f"{first}-{last}/{step}", frozenset(range(first, last + 1, step))),
                (",".join(map(str, listed)), frozenset(listed)),
            ]
        )
    )


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    (minute, minutes), (hour, hours) = draw(fields(60)), draw(fields(24))
    days = draw(st.just(frozenset(range(7))) | st.frozensets(st.integers(0, 6), min_size=1))
    weekday = "*" if len(days) == 7 else ",".join(WEEK[day] for day in sorted(days))
    return Expression(parse_cron(f"{minute} {hour} * * {weekday}"), minutes, hours, days)


def happens(expression: Expression, zone_name: str, minutes: range) -> set[int]:
    """All minutes at which an expression fires, from what clocks show at each: times of day come once and are made up
    for at the end of a gap, and what follows the clocks fires whenever they show it."""
    zone = load_zone(zone_name)
    shown = [(ms, local_time(ms, zone)) for ms in minutes]
    if expression.follows_the_clocks:
        return {ms for ms, local in shown if expression.fires(local)}
    found = set()
    next_local = shown[0][1]
    for ms, local in shown:
        while next_local <= local:
            if expression.fires(next_local):
                found.add(ms)
            next_local += timedelta(minutes=1)
    return found


@given(expressions(), st.sampled_from(CHANGES), st.integers(0, 36 * 60 - 1))
def test_cron_fires_when_a_look_at_every_minute_says_so(
    expression: Expression, change: tuple[str, date], start: int
) -> None:
    zone, day = change
    noon = midnight_ms(day) + DAY_MS // 2
    # From a day earlier on, to know what the clocks have shown already.
    minutes = range(noon - 3 * DAY_MS, noon + 3 * DAY_MS, MINUTE_MS)
    after_ms = noon - 20 * 60 * MINUTE_MS + start * MINUTE_MS
    expected = sorted(ms for ms in happens(expression, zone, minutes) if ms > after_ms)
    timing = Timing(cron=expression.text, zone=zone)
    assert list(islice(firings(timing, after_ms), 30))[: len(expected)] == expected[:30]


@given(st.text(st.sampled_from("0123456789*/-,#LW MONFRI")) | st.text())
def test_any_text_is_a_cron_expression_or_refused(text: str) -> None:
    try:
        cron = parse_cron(text)
    except ValueError:
        return
    assert parse_cron(cron) == cron
    found = next_match_ms(cron, load_zone("Europe/Paris"), 0)
    assert found is None or found > 0


@st.composite
def timings(draw: st.DrawFn) -> Timing:
    kind = draw(st.sampled_from(["cron", "every", "at"]))
    common = {
        "jitter": draw(st.integers(0, 2 * DAY_MS)),
        "catch_up_window": draw(st.integers(10_000, 3 * DAY_MS)),
        "start": draw(st.just(0) | MOMENTS),
    }
    if kind == "cron":
        return Timing.model_validate({"cron": draw(expressions()).text, "zone": draw(ZONES), **common})
    if kind == "at":
        return Timing.model_validate({"at": draw(MOMENTS), **common, "start": 0})
    every = draw(st.integers(1_000, 30 * DAY_MS))
    return Timing.model_validate({"every": every, "offset": draw(st.integers(0, every - 1)), **common})


@given(timings(), MOMENTS)
def test_firings_come_one_after_the_other_and_each_is_the_next_of_every_moment_before(
    timing: Timing, after_ms: int
) -> None:
    found = [after_ms, *islice(firings(timing, after_ms), 20)]
    for earlier, later in pairwise(found):
        assert earlier < later
        assert next_firing(timing, later - 1) == later
        assert next_firing(timing, (earlier + later) // 2) == later
    assert all(timing.start_ms <= ms < timing.end_ms for ms in found[1:])


@given(timings(), MOMENTS, st.integers(0, 40), st.integers(0, 3 * DAY_MS), st.integers(1, 50))
def test_what_was_missed_is_what_would_have_fired(
    timing: Timing, after_ms: int, count: int, late_ms: int, limit: int
) -> None:
    fired = list(islice(firings(timing, after_ms), count))
    following = next_firing(timing, fired[-1] if fired else after_ms)
    now_ms = (fired[-1] if fired else after_ms) + late_ms
    now_ms = now_ms if following is None else min(now_ms, following - 1)
    missed = missed_firings(timing, after_ms, now_ms, limit)
    oldest_ms = now_ms - timing.jitter_ms - timing.catch_up_window_ms
    expected = [ms for ms in fired if ms >= oldest_ms]
    lapsed = [ms for ms in fired if ms < oldest_ms]
    assert list(missed.due_ms) == expected[:limit]
    assert missed.more == (len(expected) > limit)
    assert missed.lapsed_ms == (lapsed[0] if lapsed else None)


@given(timings(), MOMENTS, st.text(max_size=20))
def test_a_firing_happens_within_its_jitter_and_before_the_next(timing: Timing, after_ms: int, name: str) -> None:
    for nominal_ms in islice(firings(timing, after_ms), 3):
        fire_ms = fire_at_ms(timing, name, nominal_ms)
        assert nominal_ms <= fire_ms <= nominal_ms + timing.jitter_ms
        next_ms = next_firing(timing, nominal_ms)
        assert next_ms is None or fire_ms < next_ms
        assert fire_at_ms(timing, name, nominal_ms) == fire_ms


NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True) | st.from_regex(
    r"[A-Za-z0-9][A-Za-z0-9._:-]{0,9}", fullmatch=True
)
TIMES_MS = st.integers(0, END_OF_TIME_MS - 1)


@given(st.tuples(NAMES, TIMES_MS), st.tuples(NAMES, TIMES_MS))
def test_ids_of_firings_are_workflow_ids_and_equal_exactly_when_the_firings_are(
    one: tuple[str, int], other: tuple[str, int]
) -> None:
    assert WORKFLOW_ID.fullmatch(firing_id(*one))
    assert (firing_id(*one) == firing_id(*other)) == (one == other)


@given(TIMES_MS)
def test_a_time_is_its_text(ms: int) -> None:
    assert parse_time_ms(time_text(ms)) == ms
