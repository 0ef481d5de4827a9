"""Several workflows that write to each other, through the real driver in memory, in the order of one inbox.

What the driver sends to an inbox is folded in its turn; everything else is kept as a test would look at it.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Self

from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas import tasks as t
from holdfast.schemas import topics
from holdfast.schemas.codec import decode
from holdfast.schemas.record import EventMeta, Json, Message, Record
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.pending import next_due_ms
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.driver import Driver
from holdfast.streams.executor.item_calls import BY_NAME, ItemCalls
from holdfast.streams.recovery import Tail
from holdfast.streams.rows import Row, encode_row, load_row
from holdfast.tools.content import ContentError
from support.scenario import START_MS, TENANT


@dataclass
class Town:
    """The workflows by id: `rows`, `journals`; `tasks` that were sent and not taken; `letters` sent so far.

    `told` is what the correlator was told. `largest_bytes` is how large each row has been at most.
    """

    definitions: dict[str, CompiledDefinition]
    now_ms: int = START_MS
    rows: dict[str, Row] = field(default_factory=dict)
    journals: dict[str, list[Record]] = field(default_factory=dict)
    messages: dict[str, list[Message[Record]]] = field(default_factory=dict)
    tasks: list[Any] = field(default_factory=list)
    letters: list[Message[Record]] = field(default_factory=list)
    told: list[Message[Record]] = field(default_factory=list)
    largest_bytes: dict[str, int] = field(default_factory=dict)
    held_back: bool = False
    offset: int = -1
    _inbox: deque[Message[Record]] = field(default_factory=deque)

    @classmethod
    def of(cls, *definitions: CompiledDefinition) -> Self:
        return cls({definition.hash: definition for definition in definitions})

    def state(self, workflow_id: str) -> WorkflowState:
        return self.rows[workflow_id].state

    def types(self, workflow_id: str) -> list[str]:
        """The types of a workflow's events."""
        return [type(event).__name__ for event in self.journals[workflow_id]]

    def send(
        self, workflow_id: str, body: Record, actor: tuple[str, str] = ("person", "ann"), input_id: str = ""
    ) -> None:
        """Put an input into the inbox, and fold until it is empty (unless `held_back`)."""
        meta = EventMeta(
            event_id=input_id or f"input-{self.offset}-{len(self._inbox)}",
            type=type(body).__name__,
            tenant=TENANT,
            workflow_id=workflow_id,
            actor_kind=actor[0],
            actor_id=actor[1],
            occurred_at_ms=self.now_ms,
        )
        self._inbox.append(Message(meta=meta, body=body))
        self.run()

    def run(self) -> None:
        while self._inbox and not self.held_back:
            self._fold(self._inbox.popleft())

    def _fold(self, message: Message[Record]) -> None:
        self.offset += 1
        name = message.meta.workflow_id
        driver = Driver(self.definitions.get)
        outcome = driver.fold(self.rows.get(name), message, offset=self.offset, now_ms=self.now_ms)
        if outcome.row is not None:
            value = encode_row(outcome.row)
            self.rows[name] = load_row(value)
            self.largest_bytes[name] = max(len(value), self.largest_bytes.get(name, 0))
        added = [decode(record.value) for record in outcome.journal]
        self.messages.setdefault(name, []).extend(added)
        self.journals.setdefault(name, []).extend(message.body for message in added)
        for record in outcome.outbound:
            sent = decode(record.value)
            if record.topic is topics.INBOX:
                assert record.key.decode() == f"{TENANT}/{sent.meta.workflow_id}"
                self.letters.append(sent)
                self._inbox.append(sent)
            elif record.topic is topics.CORRELATIONS:
                self.told.append(sent)
            elif isinstance(sent.body, t.RunModelCall | t.RunToolCall):
                self.tasks.append(sent.body)

    def recover(self) -> None:
        """Lose all rows, make them again from the journals, and send what is owed again, as a new worker does."""
        for name, journal in self.messages.items():
            tail = Tail()
            for offset, message in enumerate(journal):
                tail.take(None, name.encode(), message, offset)
            row = tail.rows[name.encode()]
            assert row.text == self.rows[name].text
            self.rows[name] = load_row(encode_row(replace(row, inbox_offset=self.rows[name].inbox_offset)))
            for record in Driver(self.definitions.get).owed(row):
                sent = decode(record.value)
                if record.topic is topics.INBOX:
                    self._inbox.append(sent)
        self.run()

    def repeat(self, message: Message[Record]) -> None:
        """Deliver a letter again, as a sender that recovers does."""
        self._inbox.append(message)
        self.run()

    def start(self, definition: CompiledDefinition, workflow_id: str = "w-1", value: Json = None) -> None:
        body = req.StartWorkflow(definition="", definition_hash=definition.hash, input=value or {})
        self.send(workflow_id, body)

    def deliver(self, workflow_id: str, event_type: str, payload: Json, correlation: str = "") -> None:
        body = req.DeliverEvent(event_type=event_type, correlation=correlation, payload=payload)
        self.send(workflow_id, body, ("service", "crm"))

    def cancel(self, workflow_id: str = "w-1") -> None:
        self.send(workflow_id, req.CancelWorkflow(reason="not needed"))

    def take(self, tool: str = "") -> Any:
        """The oldest task that was sent and not taken yet, of a tool if one is named."""
        task = next(task for task in self.tasks if not tool or getattr(task, "tool", "") == tool)
        self.tasks.remove(task)
        return task

    def answer(self, task: Any, result: Json = None) -> None:
        body = rep.ReportToolResult(
            effect_key=task.effect_key, attempt=task.attempt, executor_id="x1", result=result, duration_ms=3
        )
        self.send(task.effect_key.split("/")[1], body, ("executor", "x1"))

    def serve(self, items: ItemCalls, count: int = 1_000_000) -> None:
        """Answer so many of the engine's own calls, as an executor on that store does."""
        for _ in range(count):
            task = next((task for task in self.tasks if getattr(task, "tool", "") in BY_NAME), None)
            if task is None:
                return
            self.tasks.remove(task)
            try:
                result = items.act(task.tool, task.arguments)
            except ContentError as exc:
                self.fail(task, exc.code, str(exc), retryable=exc.retryable)
            else:
                self.answer(task, result)

    def fail(
        self, task: Any, error_class: str = "tool_error", message: str = "it broke", *, retryable: bool = False
    ) -> None:
        body = rep.ReportTaskFailure(
            effect_key=task.effect_key,
            attempt=task.attempt,
            executor_id="x1",
            error_class=error_class,
            error_message=message,
            http_status=0,
            retry_after_ms=0,
            retryable=retryable,
            outcome_unknown=False,
            duration_ms=3,
        )
        self.send(task.effect_key.split("/")[1], body, ("executor", "x1"))

    def look(self, workflow_id: str = "w-1") -> None:
        """Fire whatever is due now."""
        self.send(workflow_id, rep.FireTimer(timer_id="", due_at_ms=self.now_ms), ("timer", "timers"))

    def fire(self, workflow_id: str = "w-1") -> None:
        """Let the time of a workflow's next timer come, and fire."""
        self.now_ms = max(self.now_ms, next_due_ms(self.state(workflow_id)))
        self.look(workflow_id)
