"""Limits as JSON: in definitions and in the tasks that they lead to."""

from collections.abc import Mapping

from holdfast.schemas.record import Json
from holdfast.streams.core.queues.limit import Declared, Limit, Rate
from holdfast.streams.core.queues.scope import Scope


def limits_from_json(value: Json) -> Declared:
    """The limits that a task brings along, by scope. Raises ScopeError, ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"limits are an object of scopes, not {value!r}")
    return tuple((Scope.parse(scope), _limit(limit)) for scope, limit in sorted(value.items()))


def _limit(value: Json) -> Limit:
    if not isinstance(value, Mapping) or not isinstance(most := value.get("max_in_flight", 0), int):
        raise ValueError(f"a limit is an object with max_in_flight, requests and units, not {value!r}")
    return Limit(max_in_flight=most, requests=_rate(value.get("requests")), units=_rate(value.get("units")))


def _rate(value: Json) -> Rate | None:
    return Rate.parse(str(value)) if value else None
