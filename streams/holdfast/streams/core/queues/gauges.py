"""All limits in force, and the gauges of the scopes that they are about."""

from collections.abc import Iterable, Mapping

from holdfast.streams.core.queues.limit import Declared, Gauge, Limit, Share
from holdfast.streams.core.queues.scope import Place, Scope

DECLARED = "declared "
"""Before the name of a gauge whose limit a definition declares; an operator's limit of that scope is another one."""
_OPEN = Limit()


class Gauges:
    """Limits by scope: those of operators, and those that tasks bring along from their definitions.

    Of two limits of operators whose scopes are one and the same for a task (`tenant:*` and `tenant:acme`) the more
    exact one holds. All others hold together.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._controls: dict[Scope, Limit] = {}
        self._elsewhere: Mapping[str, int] = {}
        self._gauges: dict[str, Gauge] = {}
        self._wanted: dict[str, Scope] = {}

    @property
    def in_flight(self) -> dict[str, int]:
        """The calls in flight of every limited scope that has some."""
        return {name: gauge.in_flight for name, gauge in self._gauges.items() if gauge.in_flight}

    def controls(self, controls: Mapping[Scope, Limit], now_ms: int) -> None:
        """Operators' limits, in place of those before."""
        self._controls = dict(controls)
        for name, gauge in self._gauges.items():
            if not name.startswith(DECLARED):
                gauge.settle(self._limit_of(self._wanted[name]), self._share, now_ms)

    def share(self, share: Share, now_ms: int) -> None:
        """Another part of every limit."""
        self._share = share
        self._settle(self._gauges, now_ms)

    def elsewhere(self, in_flight: Mapping[str, int], now_ms: int) -> None:
        """What other executors say that they have in flight, by the names of gauges."""
        changed = {name for name in in_flight.keys() | self._elsewhere.keys() if name in self._gauges}
        self._elsewhere = dict(in_flight)
        self._settle(changed, now_ms)

    def weight(self, scope: Scope) -> int:
        """The weight that operators give a tenant, or a class within it."""
        return self._limit_of(scope).weight

    def of(self, place: Place, declared: Declared, now_ms: int) -> tuple[Gauge, ...]:
        """The gauges that a task is counted on."""
        wanted = {str(scope): scope for scope in (found.of(place) for found in self._controls) if scope is not None}
        gauges = [self._gauge(name, scope, self._limit_of(scope), now_ms) for name, scope in wanted.items()]
        for scope, limit in declared:
            gauges.append(self._gauge(f"{DECLARED}{scope}", scope, limit, now_ms))
        return tuple(gauges)

    def _gauge(self, name: str, scope: Scope, limit: Limit, now_ms: int) -> Gauge:
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, _OPEN, elsewhere=self._elsewhere.get(name, 0))
            self._wanted[name] = scope
        if gauge.limit != limit:
            gauge.settle(limit, self._share, now_ms)
        return gauge

    def _settle(self, names: Iterable[str], now_ms: int) -> None:
        for name in names:
            gauge = self._gauges[name]
            gauge.elsewhere = self._elsewhere.get(name, 0)
            gauge.settle(gauge.limit, self._share, now_ms)

    def _limit_of(self, exact: Scope) -> Limit:
        place = Place(exact.tenant, exact.kind, exact.name, exact.definition)
        fitting = [scope for scope in self._controls if scope.of(place) == exact]
        return self._controls[min(fitting, key=lambda scope: scope.general)] if fitting else _OPEN
