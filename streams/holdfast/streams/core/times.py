"""Times in definitions: RFC 3339 text with an offset, or a whole number of ms since 1970."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

END_OF_TIME_MS = 32_503_680_000_000
"""The start of the year 3000. Times lie before it, so that arithmetic with dates never leaves the range of dates."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def parse_time_ms(value: object) -> int:
    """A time in ms since 1970, cut to whole ms. Raises ValueError if `value` is not a time as described above."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _TIME.fullmatch(value.strip()):
        return (datetime.fromisoformat(value.strip().upper()) - _EPOCH) // timedelta(milliseconds=1)
    raise ValueError(f"{value!r} is not a time: write 2026-03-29T09:00:00+02:00 or ms since 1970")


def time_text(ms: int) -> str:
    """A time as RFC 3339 text in UTC, with a fraction only where there is one: `2026-03-29T07:00:00Z`."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds" if ms % 1_000 else "seconds").replace("+00:00", "Z")


TimeMs = Annotated[int, BeforeValidator(parse_time_ms), Field(ge=0, le=END_OF_TIME_MS)]
"""A pydantic field that takes any time from 1970 to 2999 and holds ms since 1970."""
