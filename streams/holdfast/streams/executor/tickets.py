"""From a task to its ticket for the schedule."""

import functools
import logging
from dataclasses import dataclass

import orjson

from holdfast.schemas.record import Message
from holdfast.schemas.tasks import RunModelCall
from holdfast.streams.core.queues.declared import limits_from_json
from holdfast.streams.core.queues.limit import Declared
from holdfast.streams.core.queues.scope import Place, ScopeError
from holdfast.streams.core.queues.ticket import Ticket
from holdfast.streams.executor.attempt import Delivery, Task

_log = logging.getLogger(__name__)
BYTES_PER_TOKEN = 4
OUTPUT_TOKENS = 1_024
"""Expected of a model call that sets no limit of its own."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A task that waits, and where it was read."""

    message: Message[Task]
    delivery: Delivery

    @property
    def offset(self) -> int:
        """Its place in its partition."""
        return int(self.delivery.record.offset)

    @property
    def size_bytes(self) -> int:
        """How much of the memory for waiting tasks it takes."""
        return len(self.delivery.record.value)


def ticket_of(waiting: Waiting) -> Ticket[Waiting]:
    """The ticket of a task. The units of a model call are tokens, as far as can be told before; a tool call is one."""
    message, task = waiting.message, waiting.message.body
    if isinstance(task, RunModelCall):
        kind, name, units = "model", task.model, _tokens(task, waiting.size_bytes)
    else:
        kind, name, units = "tool", task.tool, 1
    return Ticket(
        key=(task.effect_key, task.attempt),
        place=Place(message.meta.tenant, kind, name, message.meta.definition_name),
        item=waiting,
        since_ms=message.meta.occurred_at_ms,
        priority=task.priority,
        units=units,
        declared=_declared(orjson.dumps(task.limits)) if task.limits else (),
    )


def _tokens(task: RunModelCall, size_bytes: int) -> int:
    limit = task.parameters.get("max_completion_tokens") if isinstance(task.parameters, dict) else None
    return size_bytes // BYTES_PER_TOKEN + (limit if isinstance(limit, int) else OUTPUT_TOKENS)


@functools.lru_cache(maxsize=4_096)
def _declared(text: bytes) -> Declared:
    try:
        return limits_from_json(orjson.loads(text))
    except (ScopeError, ValueError) as exc:
        # The engine checks definitions; a newer one may say what this executor does not know.
        _log.error("limits of a definition are passed over: %s", exc)
        return ()
