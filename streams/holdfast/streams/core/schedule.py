"""When a schedule starts workflows: the timing as data, and its firings as functions of it.

A firing has a nominal time, which identifies it (`firing_id`), and a time at which it happens, up to `jitter` later
(`fire_at_ms`). Both are pure functions of the timing, so every worker knows the same firings, whenever it looks.
All times are ms since 1970.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Literal, Self

from pydantic import Field, model_validator

from holdfast.schemas.ids import WORKFLOW_ID
from holdfast.streams.core.cron import Cron, next_match_ms
from holdfast.streams.core.durations import DurationMs
from holdfast.streams.core.jitter import jitter
from holdfast.streams.core.model import Model
from holdfast.streams.core.times import END_OF_TIME_MS, TimeMs, time_text
from holdfast.streams.core.zones import ZoneName, load_zone

_DAY_MS = 86_400_000

Overlap = Literal["skip", "buffer_one", "allow", "cancel_old"]
"""While an earlier workflow runs, a firing is dropped, held back (one at most), started beside it, or in its place."""


class Timing(Model):
    """When a schedule fires: by exactly one of `cron`, `every` and `at`.

    `cron` is evaluated on the clocks of `zone`. `every` fires at whole multiples since 1970 plus `offset`, whatever
    clocks do: `24h` drifts against them where `cron` does not. `at` fires once. Firings lie at or after `start` and
    before `end`. Those that were missed, because nobody was there to act, are made up for as long as
    `catch_up_window`.
    """

    cron: Cron | None = None
    """Five fields, as Debian's cron reads them: `0 9 * * MON-FRI`."""
    zone: ZoneName | None = None
    """On whose clocks, an IANA name; goes with `cron`."""
    every_ms: DurationMs | None = Field(default=None, alias="every", ge=1_000)
    """At whole multiples of this since 1970."""
    offset_ms: DurationMs = Field(default=0, alias="offset")
    """By how much later than those."""
    at_ms: TimeMs | None = Field(default=None, alias="at")
    """Once, at this time."""
    start_ms: TimeMs = Field(default=0, alias="start")
    """No firing before this time."""
    end_ms: TimeMs = Field(default=END_OF_TIME_MS, alias="end")
    """No firing at or after this time."""
    jitter_ms: DurationMs = Field(default=0, alias="jitter", le=31 * _DAY_MS)
    """Up to how much later each firing happens; the same for the same firing."""
    # A firing is acted on a little late in any case, so the window cannot be nothing.
    catch_up_window_ms: DurationMs = Field(default=_DAY_MS, alias="catch_up_window", ge=10_000, le=366 * _DAY_MS)
    """How long a firing that was missed is made up for."""
    overlap: Overlap = "skip"
    """What becomes of a firing while an earlier workflow runs: dropped, held back, beside it, or in its place."""

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        given = [name for name in _NEXT if getattr(self, name) is not None]
        problems = (
            (len(given) != 1, "give exactly one of cron, every and at"),
            (self.cron is not None and self.zone is None, "cron needs a zone: an IANA name such as Europe/Paris"),
            (self.cron is None and self.zone is not None, "a zone goes with cron only"),
            (self.offset_ms >= (self.every_ms or 1), "an offset goes with every, and is shorter"),
        )
        problem = next((sentence for holds, sentence in problems if holds), None)
        if problem is None and next_firing(self, -1) is None:
            problem = "it never fires: no such time between start and end"
        if problem is not None:
            raise ValueError(problem)
        return self


@dataclass(frozen=True, slots=True)
class Missed:
    """Firings that nobody has acted on yet, by nominal time.

    `due_ms` are those to make up for, oldest first; `more` says that others follow, which the limit left out.
    `lapsed_ms` is the first that is too old to be made up for, None if there is none; all up to the first due one are.
    """

    due_ms: tuple[int, ...]
    more: bool
    lapsed_ms: int | None


def next_firing(timing: Timing, after_ms: int) -> int | None:
    """The nominal time of the first firing strictly after `after_ms`, None if it was the last."""
    after_ms = max(after_ms, timing.start_ms - 1)
    if after_ms >= timing.end_ms:
        return None
    nominal_ms = next(follow(timing, after_ms) for name, follow in _NEXT.items() if getattr(timing, name) is not None)
    return nominal_ms if nominal_ms is not None and nominal_ms < timing.end_ms else None


def firings(timing: Timing, after_ms: int) -> Iterator[int]:
    """The nominal times of all firings after `after_ms`, in order; often without end."""
    nominal_ms = next_firing(timing, after_ms)
    while nominal_ms is not None:
        yield nominal_ms
        nominal_ms = next_firing(timing, nominal_ms)


def missed_firings(timing: Timing, after_ms: int, now_ms: int, limit: int) -> Missed:
    """The firings after `after_ms`, the nominal time of the last one acted on, up to and with `now_ms`.

    At most `limit` (from 1) of them are due. One is due for as long as its catch-up window lasts, which begins when it
    happens at the latest, that is `jitter` after its nominal time.
    """
    oldest_ms = oldest_due_ms(timing, now_ms)
    first_ms = next_firing(timing, after_ms)
    found = takewhile(lambda nominal_ms: nominal_ms <= now_ms, firings(timing, max(after_ms, oldest_ms - 1)))
    due_ms = tuple(islice(found, limit + 1))
    return Missed(
        due_ms=due_ms[:limit],
        more=len(due_ms) > limit,
        lapsed_ms=first_ms if first_ms is not None and first_ms < oldest_ms else None,
    )


def oldest_due_ms(timing: Timing, now_ms: int) -> int:
    """The earliest nominal time of a firing that is still made up for; whatever lies before it has lapsed."""
    return now_ms - timing.jitter_ms - timing.catch_up_window_ms


def jitter_name(tenant: str, name: str) -> str:
    """What keeps the jitter of schedules apart, those of tenants as well: the name for `fire_at_ms`."""
    return f"{tenant}/{name}"


def fire_at_ms(timing: Timing, name: str, nominal_ms: int) -> int:
    """When a firing happens: its nominal time plus its share of `jitter`, which is a pure function of both arguments.

    Never as late as the next firing, so firings stay in order; `name` is what keeps schedules apart.
    """
    next_ms = next_firing(timing, nominal_ms)
    most_ms = timing.jitter_ms if next_ms is None else min(timing.jitter_ms, next_ms - nominal_ms)
    return nominal_ms + int(most_ms * jitter(f"{name}@{nominal_ms}"))


def firing_id(name: str, nominal_ms: int) -> str:
    """The id of the workflow that a firing starts: `nightly-2026-03-29T01:00:00Z`, the nominal time in UTC.

    Raises ValueError if that is not a workflow id, because of the characters in `name` or for its length, 103 at most.
    """
    workflow_id = f"{name}-{time_text(nominal_ms)}"
    if not WORKFLOW_ID.fullmatch(workflow_id):
        raise ValueError(f"{workflow_id!r} is not a workflow id: the name has letters, digits and . _ : -, at most 103")
    return workflow_id


def _next_by_cron(timing: Timing, after_ms: int) -> int | None:
    assert timing.cron is not None
    assert timing.zone is not None
    return next_match_ms(timing.cron, load_zone(timing.zone), after_ms)


def _next_multiple(timing: Timing, after_ms: int) -> int | None:
    assert timing.every_ms is not None
    return after_ms + timing.every_ms - (after_ms - timing.offset_ms) % timing.every_ms


def _once(timing: Timing, after_ms: int) -> int | None:
    return timing.at_ms if timing.at_ms is not None and timing.at_ms > after_ms else None


# The fields of which a timing has exactly one, and the first nominal time after a moment by each.
_NEXT: Mapping[str, Callable[[Timing, int], int | None]] = {
    "cron": _next_by_cron,
    "every_ms": _next_multiple,
    "at_ms": _once,
}
