"""Cron expressions: `30 2 * * MON-FRI`, evaluated on the clocks of a time zone.

Five fields: minute, hour, day of the month, month, day of the week; with names, ranges, lists and steps, and beyond
POSIX `L` and `LW` (last day, last working day of the month), `MON#2` (the second Monday) and `5L` (the last Friday).
As in Debian's cron, days of the month and of the week must both match if one of the two starts with `*`; else one is
enough.

Where clocks are changed, Debian's rules hold as well. An expression whose minute or hour starts with `*` follows the
clocks: what they skip does not happen, what they show twice happens twice. Any other one names times of day: what the
clocks skip happens when they are put forward, what they show twice happens the first time.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

from holdfast.streams.core import zones

_RANGE_OF_ONE = re.compile(r"(\w+)-\1/[1-9]\d*")
_DAY = timedelta(days=1)
_MS = timedelta(milliseconds=1)


def parse_cron(text: str) -> str:
    """The canonical form of an expression. Raises ValueError if `text` is not one as described above."""
    fields = [",".join(map(_term, field.split(","))) for field in text.upper().split()]
    try:
        if len(fields) != 5:
            raise CronSimError(f"{len(fields)} instead of 5 fields")
        CronSim(" ".join(fields), datetime.fromtimestamp(0, UTC))
    except (CronSimError, ValueError) as exc:
        raise ValueError(
            f"{text!r} is not a cron expression ({str(exc).lower()}): "
            "write minute, hour, day, month and weekday, such as 30 2 * * MON-FRI"
        ) from None
    return " ".join(fields)


def _term(term: str) -> str:
    # The library would go on from the one value of such a range to the field's last.
    match = _RANGE_OF_ONE.fullmatch(term)
    return match[1] if match else term


def next_match_ms(cron: str, zone: tzinfo, after_ms: int) -> int | None:
    """The first moment after `after_ms` that matches (ms since 1970), None if there is none for 50 years."""
    moments = zones.moments if _follows_the_clocks(cron) else _once
    # The library steps over local times only. Its own stepping over changes of clocks takes them for whole hours, and
    # loses matches after the half-hour ones of Lord Howe Island.
    now = zones.local_time(after_ms, zone)
    put_back = max(now + _DAY - zones.local_time(after_ms + _DAY // _MS, zone), timedelta())
    candidates: list[int] = []
    for local in CronSim(cron, now - put_back):
        shown = moments(local, zone)
        candidates += [ms for ms in shown if ms > after_ms]
        # Whatever matches later is first shown later, too.
        if shown and shown[0] > after_ms:
            break
    return min(candidates, default=None)


def _follows_the_clocks(cron: str) -> bool:
    minute, hour, *_ = cron.split()
    return minute.startswith("*") or hour.startswith("*")


def _once(local: datetime, zone: tzinfo) -> tuple[int, ...]:
    return (zones.first_moment(local, zone),)


Cron = Annotated[str, AfterValidator(parse_cron)]
"""A pydantic field that takes a cron expression and holds its canonical form."""
