"""Durations as people write them: `250ms`, `30s`, `2m`, `12h`, `7d`, or a whole number of milliseconds."""

import re

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d)")


def parse_duration_ms(value: object) -> int:
    """A duration in ms. Raises ValueError if `value` is not a duration as described above."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration: write 250ms, 30s, 2m, 12h, 7d or whole milliseconds")
    return int(match[1]) * _UNITS_MS[match[2]]


def duration_text(ms: int) -> str:
    """A duration as one would write it: in the largest unit of which it is a whole number, 0 without a unit."""
    if not ms:
        return "0"
    return next(f"{ms // size}{unit}" for unit, size in reversed(_UNITS_MS.items()) if ms % size == 0)
