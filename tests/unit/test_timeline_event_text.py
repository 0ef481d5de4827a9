"""Times, sizes and events in words."""

import pytest

from holdfast.ops.event_text import (
    EVENT_TYPES,
    ID_WIDTH,
    STYLES,
    brief,
    distance,
    duration,
    event_line,
    moment,
    money,
    safe,
    says,
)
from holdfast.schemas.record import Message, Record
from holdfast.streams.core import evolve
from support.samples import sample, sample_meta

DAY_MS = 86_400_000
every_event = pytest.mark.parametrize("cls", sorted(evolve.EVENT_TYPES, key=str))


def test_every_event_of_the_journal_has_a_line() -> None:
    assert EVENT_TYPES == evolve.EVENT_TYPES
    assert STYLES.keys() <= EVENT_TYPES


@every_event
def test_an_event_is_said_on_one_line_that_a_terminal_only_prints(cls: type[Record]) -> None:
    said = says(sample(cls))
    assert said
    assert said.isprintable()


@every_event
def test_a_line_of_the_journal_has_its_sequence_type_and_workflow(cls: type[Record]) -> None:
    meta = sample_meta(cls)
    assert meta is not None
    line = event_line(Message(meta=meta, body=sample(cls)), with_id=True).plain
    assert f"  {meta.workflow_id:<{ID_WIDTH}}  {meta.sequence:>4}  {cls.__name__}" in line


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (59_949, "59.9 s"),
        (59_950, "1m"),
        (60_000, "1m"),
        (65_999, "1m 05s"),
        (3_600_000, "1h"),
        (3_660_000, "1h 01m"),
        (DAY_MS - 1, "23h 59m"),
        (DAY_MS, "1d"),
        (14 * DAY_MS + 3_600_000, "14d 01h"),
        (400 * DAY_MS, "400d"),
    ],
)
def test_a_length_of_time_has_two_units_at_most(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_a_time_is_seen_from_now() -> None:
    assert distance(70_000, 10_000) == "in 1m"
    assert distance(10_000, 70_000) == "1m ago"
    assert distance(5, 5) == "0 ms ago"


def test_a_time_that_no_calendar_has_is_shown_as_the_last_one() -> None:
    assert moment(0) == "1970-01-01 00:00:00 UTC"
    assert moment(2**62) == "9999-12-31 23:59:59 UTC"


@pytest.mark.parametrize(
    ("microusd", "text"),
    [(0, "$0.00"), (7, "$0.000007"), (12_000, "$0.0120"), (999_999, "$1.0000"), (1_000_000, "$1.00")],
)
def test_small_amounts_of_money_keep_their_digits(microusd: int, text: str) -> None:
    assert money(microusd) == text


@pytest.mark.parametrize("hidden", ["\x1b[31m", "\x07", "\u202e", "\u200b", "\r", "\n", "\x9b", "\ufeff"])
def test_what_a_terminal_would_obey_or_hide_becomes_visible(hidden: str) -> None:
    made = safe(f"a{hidden}b")
    assert made.isprintable()
    assert made != f"a{hidden}b"
    assert safe(made) == made


def test_a_lone_surrogate_can_be_printed() -> None:
    assert safe("\ud800").encode() == b"\\ud800"


def test_long_values_are_cut_and_hashes_shortened() -> None:
    assert brief("x" * 200, 10) == "xxxxxxx..."
    assert brief({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'
    assert brief("call " + "0123456789abcdef" * 4 + ".") == "call 0123456789ab."
