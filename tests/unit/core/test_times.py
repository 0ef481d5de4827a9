"""Times in definitions: RFC 3339 text with an offset, or ms since 1970."""

import pytest
from pydantic import TypeAdapter, ValidationError

from holdfast.streams.core.times import END_OF_TIME_MS, TimeMs, parse_time_ms, time_text

NINE_MS = 1_774_767_600_000


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2026-03-29T07:00:00Z", NINE_MS),
        ("2026-03-29T09:00:00+02:00", NINE_MS),
        ("2026-03-28 20:00:00-11:00", NINE_MS),
        ("2026-03-29t07:00:00.250z", NINE_MS + 250),
        ("2026-03-29T07:00:00.0019999Z", NINE_MS + 1),
        (NINE_MS, NINE_MS),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_times(value: object, ms: int) -> None:
    assert parse_time_ms(value) == ms


@pytest.mark.parametrize(
    "value",
    [
        *("", "2026-03-29", "2026-03-29T07:00:00", "2026-03-29T07:00Z", "20260329T070000Z", "2026-W13-7T07:00:00Z"),
        *("tomorrow", "1774767600000", True, None, 1.5),
    ],
)
def test_what_is_not_a_time_is_refused_with_a_sentence(value: object) -> None:
    with pytest.raises(ValueError, match="is not a time: write 2026-03-29T09:00:00"):
        parse_time_ms(value)


@pytest.mark.parametrize("value", ["2026-02-29T07:00:00Z", "2026-03-29T24:30:00Z", "2026-03-29T07:00:60Z"])
def test_what_looks_like_a_time_but_does_not_exist_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"is out of range|must be in"):
        parse_time_ms(value)


@pytest.mark.parametrize(("ms", "text"), [(NINE_MS, "2026-03-29T07:00:00Z"), (NINE_MS + 5, "2026-03-29T07:00:00.005Z")])
def test_times_as_text(ms: int, text: str) -> None:
    assert time_text(ms) == text
    assert parse_time_ms(text) == ms


@pytest.mark.parametrize("value", [-1, END_OF_TIME_MS + 1, "1969-12-31T23:59:59Z", "3000-01-01T00:00:01Z"])
def test_a_field_takes_the_times_from_1970_to_2999(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(TimeMs).validate_python(value)
