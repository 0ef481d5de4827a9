"""What can be seen from outside while the workflow runs: its journal, and the journals of the outside systems."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from holdfast.ops.errors import CommandError
from holdfast.ops.scripted_model.child import ChildServer
from holdfast.ops.trial.reading import messages, reader
from holdfast.ops.trial.sandbox import Sandbox
from holdfast.schemas import events as e
from holdfast.schemas.record import Message, Record
from holdfast.schemas.results import RequestRejected
from holdfast.schemas.topics import JOURNAL, RESULTS

STUCK_S = 120.0
POLL_S = 0.03

Event = Message[Record]

_BAD_ENDS = (e.WorkflowFailed, e.WorkflowCancelled, e.WorkflowBlocked, RequestRejected, e.InputRejected)


class Witness:
    """Reads the one workflow's events in their order, each once, and hands each to `on_event`."""

    def __init__(self, consumer: Any, journal: str, on_event: Callable[[Event], None]) -> None:
        self._messages = messages(consumer)
        self._journal = journal
        self._on_event = on_event
        self._sequence = 0
        self.model_intents: set[tuple[str, int]] = set()

    async def until(self, wanted: type[Record], step: str = "", *, first: Callable[[], None] = lambda: None) -> Event:
        """The next event of a type (and of a step, if one is given); `first` is called before it is handed on.

        Raises CommandError if the workflow ends otherwise, a request is refused, or nothing comes for too long.
        """
        try:
            async with asyncio.timeout(STUCK_S):
                async for record, message in self._messages:
                    if not self._is_new(record.topic, message):
                        continue
                    found = isinstance(message.body, wanted) and step in ("", getattr(message.body, "step", ""))
                    if found:
                        first()
                    self._take(message)
                    if found:
                        return message
        except TimeoutError:
            raise CommandError(f"the workflow had no {wanted.__name__} {step} within {STUCK_S:.0f} s") from None
        raise AssertionError("the messages never end")

    def _is_new(self, topic: str, message: Event) -> bool:
        if isinstance(message.body, _BAD_ENDS):
            raise CommandError(f"the workflow did not go as it should: {message.meta.type} {message.body}")
        # The first event of a sequence is the only one.
        if topic != self._journal or message.meta.sequence <= self._sequence:
            return False
        self._sequence = message.meta.sequence
        return True

    def _take(self, message: Event) -> None:
        body = message.body
        if isinstance(body, e.ModelCallRequested):
            self.model_intents.add((body.effect_key, body.attempt))
        self._on_event(message)


@asynccontextmanager
async def witness(project: Sandbox, on_event: Callable[[Event], None]) -> AsyncIterator[Witness]:
    """A witness of everything from the beginning. Raises CommandError."""
    journal, results = (project.prefix + topic.name for topic in (JOURNAL, RESULTS))
    async with reader(project.bootstrap, [journal, results]) as consumer:
        yield Witness(consumer, journal, on_event)


async def entry(server: ChildServer, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first entry in a system's own journal that is wanted, as soon as it is there. Raises CommandError."""
    give_up_at = time.monotonic() + STUCK_S
    while time.monotonic() < give_up_at:
        for found in await asyncio.to_thread(server.journal):
            if wanted(found):
                return found
        await asyncio.sleep(POLL_S)
    raise CommandError(f"{server.home.name} did not get the request within {STUCK_S:.0f} s")
