"""What each input type leads to: one handler per type, by who speaks, put together in one table.

A handler adds events to a turn or returns a Rejection; a repeat of an input that was folded already adds nothing.
"""

from collections.abc import Mapping

from holdfast.schemas.record import Record
from holdfast.streams.core.inputs import children, events, forks, lookups, operators, reports, requests, timers
from holdfast.streams.core.inputs.common import Handler

HANDLERS: Mapping[type[Record], Handler] = {
    **requests.HANDLERS,
    **forks.HANDLERS,
    **events.HANDLERS,
    **operators.HANDLERS,
    **reports.HANDLERS,
    **lookups.HANDLERS,
    **children.HANDLERS,
    **timers.HANDLERS,
}
