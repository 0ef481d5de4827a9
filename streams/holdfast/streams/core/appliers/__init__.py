"""What each event type does to a state: one applier per type, by subject, put together in one table.

An applier never fails on an event that `decide` made, and never changes a state in place.
"""

from collections.abc import Mapping

from holdfast.schemas.record import Record
from holdfast.streams.core.appliers import calls, children, compensations, forks, lifecycle, steps, waits
from holdfast.streams.core.appliers.common import Applier

APPLIERS: Mapping[type[Record], Applier] = {
    **lifecycle.APPLIERS,
    **steps.APPLIERS,
    **calls.APPLIERS,
    **waits.APPLIERS,
    **children.APPLIERS,
    **compensations.APPLIERS,
    **forks.APPLIERS,
}
