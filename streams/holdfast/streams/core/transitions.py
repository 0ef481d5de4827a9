"""The state transition table of a workflow: the one place that says which status may follow which.

Documentation and tests are made from it; `evolve` goes by it, and a transition that is not here is a bug (I3).
"""

from collections.abc import Mapping

from holdfast.streams.core.state import Status

_ENDINGS = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING}),
    Status.RUNNING: frozenset({Status.WAITING, Status.PAUSED, Status.COMPENSATING, Status.BLOCKED}) | _ENDINGS,
    Status.WAITING: frozenset({Status.RUNNING, Status.PAUSED, Status.COMPENSATING, Status.BLOCKED}) | _ENDINGS,
    Status.PAUSED: frozenset({Status.RUNNING, Status.COMPENSATING, Status.BLOCKED}) | _ENDINGS,
    Status.COMPENSATING: frozenset({Status.BLOCKED, Status.FAILED, Status.CANCELLED}),
    Status.BLOCKED: frozenset({Status.RUNNING, Status.COMPENSATING, Status.FAILED, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}


class ForbiddenTransition(Exception):
    """A status followed one that it may not follow: a bug in the fold."""


def move(current: Status, wanted: Status) -> Status:
    """`wanted`, if it may follow `current` or equals it. Raises ForbiddenTransition."""
    if wanted is not current and wanted not in TRANSITIONS[current]:
        raise ForbiddenTransition(f"a {current} workflow cannot become {wanted}")
    return wanted
