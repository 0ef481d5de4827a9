"""Calendar windows: `Mon-Fri 09:00-17:00 Europe/Paris`, the hours at which a workflow may go on.

Days, times and zone, all three obligatory: `Mon-Wed,Fri 09:00-12:00,13:00-17:00 Europe/Paris`. A range of days may
run over Sunday (`Fri-Mon`). A span of time holds its start and not its end, may end at `24:00`, and may run over
midnight (`22:00-06:00`): then it belongs to the day on which it opens.

Where clocks are changed, a window is open from the first moment at which they show a time in the span to the last
one, and in between. So what is shown twice is all open, a start that is skipped opens when the clocks are put forward,
and a span that is skipped as a whole does not open on that day.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from holdfast.streams.core import zones

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_MINUTES = 24 * 60
_EXAMPLE = "Mon-Fri 09:00-17:00 Europe/Paris"
_DAY_RANGE = re.compile(r"([a-z]+)(?:-([a-z]+))?", re.IGNORECASE)
_SPAN = re.compile(r"(\d{1,2}):([0-5]\d)-(\d{1,2}):([0-5]\d)", re.ASCII)
# A span that began yesterday may still be open; one that begins tomorrow may have opened already, where clocks were put
# back over midnight. A window opens at least once in three weeks, even if clocks skip it in one of them.
_LOOK = range(-1, 22)


@dataclass(frozen=True, slots=True)
class Window:
    """Recurring hours in a time zone, made by parse_window; its text is the canonical form.

    `days` are week days in order, 0 is Monday. `spans` are pairs of minutes after midnight in order, the second one
    beyond 1440 if the span runs over midnight. `zone` is an IANA name.
    """

    days: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    zone: str

    def __str__(self) -> str:
        runs = [[day for _, day in run] for _, run in groupby(enumerate(self.days), key=lambda at: at[1] - at[0])]
        days = ",".join("-".join(_DAYS[day] for day in dict.fromkeys((run[0], run[-1]))) for run in runs)
        spans = ",".join(f"{_clock(start)}-{_clock(end)}" for start, end in self.spans)
        return f"{days} {spans} {self.zone}"

    def next_open_ms(self, now_ms: int) -> int:
        """The first moment at or after `now_ms` (ms since 1970, up to the year 3000) at which the window is open."""
        # Spans come in the order in which they open, so the first one that has not closed is the next.
        return next(at for opens, closes in self._openings(now_ms) if (at := max(now_ms, opens)) < closes)

    def contains(self, ms: int) -> bool:
        """True if the window is open at a moment (ms since 1970, up to the year 3000)."""
        return self.next_open_ms(ms) == ms

    def _openings(self, ms: int) -> Iterator[tuple[int, int]]:
        """When the window opens and closes around and after a moment, one span after the other."""
        zone = zones.load_zone(self.zone)
        today = zones.local_time(ms, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        for midnight in (today + timedelta(days=days) for days in _LOOK):
            if midnight.weekday() in self.days:
                for start, end in self.spans:
                    yield (
                        zones.first_moment(midnight + timedelta(minutes=start), zone),
                        zones.moment_after(midnight + timedelta(minutes=end), zone),
                    )


def parse_window(value: object) -> Window:
    """A window from its text; a window is one already. Raises ValueError if `value` is not as described above."""
    if isinstance(value, Window):
        return value
    parts = re.sub(r"\s*([,-])\s*", r"\1", value.strip()).split() if isinstance(value, str) else []
    if len(parts) != 3:
        raise ValueError(f"{value!r} is not a calendar window: write days, times and a time zone, such as {_EXAMPLE}")
    days, spans, zone = parts
    return Window(
        days=tuple(sorted({day for part in days.split(",") for day in _days(part)})),
        spans=tuple(sorted({_span(part) for part in spans.split(",")})),
        zone=zones.load_zone(zone).key,
    )


def _days(text: str) -> list[int]:
    match = _DAY_RANGE.fullmatch(text)
    names = [name.capitalize() for name in match.groups() if name] if match else []
    if not names or not set(names) <= set(_DAYS):
        raise ValueError(f"{text!r} is not a day or a range of days: write {', '.join(_DAYS)}, or Mon-Fri")
    first, last = _DAYS.index(names[0]), _DAYS.index(names[-1])
    return [(first + n) % 7 for n in range((last - first) % 7 + 1)]


def _span(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a span of time: write 09:00-17:00")
    start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start >= _DAY_MINUTES or end > _DAY_MINUTES:
        raise ValueError(f"{text!r} is not a span of time: it starts from 00:00 to 23:59 and ends by 24:00")
    if start == end:
        raise ValueError(f"{text!r} is not a span of time: it ends when it starts; a whole day is 00:00-24:00")
    return start, end if end > start else end + _DAY_MINUTES


def _clock(minutes: int) -> str:
    hour, minute = divmod(minutes if minutes <= _DAY_MINUTES else minutes - _DAY_MINUTES, 60)
    return f"{hour:02}:{minute:02}"


CalendarWindow = Annotated[
    Window,
    PlainValidator(parse_window),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": [_EXAMPLE]}),
]
"""A pydantic field that takes a window as text, holds a Window, and is written as its canonical text."""
