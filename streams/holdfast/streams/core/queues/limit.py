"""Limits of scopes, and what of them is used up."""

import re
from dataclasses import dataclass, field

from holdfast.streams.core.queues.scope import Scope

_INTERVALS_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000}
_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|min|h)")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many per interval; as text `10/s`, `1000/min` or `5/h`."""

    count: int
    per_ms: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """The rate that a text names. Raises ValueError."""
        found = _RATE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no rate: write 10/s, 1000/min or 5/h")
        return cls(int(found[1]), _INTERVALS_MS[found[2]])

    def __str__(self) -> str:
        unit = next(unit for unit, length_ms in _INTERVALS_MS.items() if length_ms == self.per_ms)
        return f"{self.count}/{unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What the tasks of a scope may do together.

    `max_in_flight` calls at a time (0 sets no limit); so many `requests`, and so many `units` (tokens of models), per
    interval. `weight` is the share of a tenant, or of a class within its tenant, next to others that have 1. Nothing
    begins while it is `paused`.
    """

    max_in_flight: int = 0
    requests: Rate | None = None
    units: Rate | None = None
    weight: int = 1
    paused: bool = False


NO_SHARE = 0
Declared = tuple[tuple[Scope, Limit], ...]
"""Limits that a definition declares, which its tasks bring along."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of every limit this executor may use.

    The parts belong to the partitions of the topic: of a limit of 10 over 4 partitions, the first two have 3 and the
    others 2. So the parts of all executors make up the limit, however the partitions are spread, and the owner of the
    first partition has a part of every limit. `owned` are the partitions of this executor; of those in `settled` it is
    certain that no former owner still has calls in flight that it does not report.
    """

    partitions: int = 1
    owned: frozenset[int] = frozenset({0})
    settled: frozenset[int] = frozenset({0})

    def of(self, limit: int) -> int:
        """The part of a limit that belongs to the partitions of this executor."""
        return self._sum(limit, self.owned)

    def in_flight_of(self, limit: int) -> int:
        """The part of a limit of calls in flight that may be used by now."""
        return self._sum(limit, self.settled)

    def _sum(self, limit: int, partitions: frozenset[int]) -> int:
        if len(partitions) == self.partitions:
            return limit
        least, more = divmod(limit, self.partitions)
        return sum(least + (partition < more) for partition in partitions)


@dataclass(slots=True)
class Bucket:
    """A token bucket in whole numbers: one of `count` per `per_ms` is worth `per_ms`, and each ms adds `count`.

    It begins empty, so whoever takes a scope over from another executor never adds to what that one has used. What is
    dearer than a full bucket is taken from a full one, which is then in debt.
    """

    count: int
    per_ms: int
    at_ms: int
    level: int = 0

    def refill(self, now_ms: int) -> None:
        """Add what the time since the last call brings."""
        if now_ms > self.at_ms:
            self.level = min(self.count * self.per_ms, self.level + self.count * (now_ms - self.at_ms))
            self.at_ms = now_ms

    def resize(self, count: int) -> None:
        """Another share of the limit; what there is stays, as far as it fits."""
        self.count = count
        self.level = min(self.level, count * self.per_ms)

    def ready_at_ms(self, amount: int) -> int:
        """When there is that much, if nobody else takes any; at or before `at_ms` if there is by now."""
        missing = min(amount, self.count) * self.per_ms - self.level
        return self.at_ms + -(-missing // self.count) if missing > 0 else self.at_ms

    def take(self, amount: int) -> None:
        """Use that much, or give it back if it is negative."""
        self.level = min(self.count * self.per_ms, self.level - amount * self.per_ms)


@dataclass(slots=True, eq=False)
class Gauge:
    """One limited scope: what is in flight in it, here and (as last reported) `elsewhere`, and its buckets.

    `requests` and `units` are None where there is no rate, or no share of it. `in_flight_limit` is that of this
    executor now.
    """

    name: str
    limit: Limit
    in_flight: int = 0
    elsewhere: int = 0
    in_flight_limit: int = 0
    strange: bool = False
    requests: Bucket | None = None
    units: Bucket | None = None
    users: int = field(default=0)

    def settle(self, limit: Limit, share: Share, now_ms: int) -> None:
        """Take on a limit and a share of it; what has been used stays used."""
        self.limit = limit
        self.in_flight_limit = min(share.in_flight_of(limit.max_in_flight), limit.max_in_flight - self.elsewhere)
        self.requests = _bucket(self.requests, limit.requests, share, now_ms)
        self.units = _bucket(self.units, limit.units, share, now_ms)
        wanted = [limit.max_in_flight, *(rate.count for rate in (limit.requests, limit.units) if rate)]
        self.strange = any(share.of(count) == NO_SHARE for count in wanted if count)

    def refusal(self, now_ms: int, units: int) -> tuple[str, int] | None:
        """Why a task may not begin now, and when it may (0: when something ends or changes); None if it may."""
        limit = self.limit
        if limit.paused:
            return "paused", 0
        if limit.max_in_flight and self.in_flight >= self.in_flight_limit:
            return "max_in_flight", 0
        for name, bucket, amount in (("requests", self.requests, 1), ("units", self.units, units)):
            if bucket is not None:
                bucket.refill(now_ms)
                ready_at_ms = bucket.ready_at_ms(amount)
                if ready_at_ms > now_ms:
                    return name, ready_at_ms
        return None

    def begin(self, units: int) -> None:
        """A task begins that was not refused."""
        self.in_flight += 1
        if self.requests is not None:
            self.requests.take(1)
        if self.units is not None:
            self.units.take(units)

    def end(self, unused: int) -> None:
        """A task has ended that used so many units less (or more, if negative) than were taken for it."""
        self.in_flight -= 1
        if self.units is not None and unused:
            self.units.take(-unused)


def _bucket(known: Bucket | None, rate: Rate | None, share: Share, now_ms: int) -> Bucket | None:
    count = share.of(rate.count) if rate else NO_SHARE
    if rate is None or count == NO_SHARE:
        return None
    if known is not None and known.per_ms == rate.per_ms:
        known.refill(now_ms)
        known.resize(count)
        return known
    return Bucket(count, rate.per_ms, now_ms)
