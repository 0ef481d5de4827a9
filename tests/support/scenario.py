"""Given, when, then for the engine: a workflow driven through the real driver in memory, its inputs as data.

The driver, the codec and the row format are the real ones; only Kafka is left out. Time moves when a test says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.schemas import jsontext
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas import tasks as t
from holdfast.schemas.codec import decode
from holdfast.schemas.record import EventMeta, Json, Message, Record
from holdfast.streams.core.compile import CompiledDefinition, compile_definition
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.pending import next_due_ms
from holdfast.streams.core.snapshot import snapshot_of, to_json
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.driver import Driver
from holdfast.streams.rows import Row, encode_row, load_row

TENANT = "acme"
WORKFLOW = "w-1"
START_MS = 1_000_000


def manifest(name: str, effect: str = "read", timeout_ms: int = 5_000, max_attempts: int = 3) -> dict[str, Any]:
    """A tool as a definition pins it."""
    return {
        "name": name,
        "effect": effect,
        "timeout_ms": timeout_ms,
        "max_attempts": max_attempts,
        "input_schema": {"type": "object"},
        "manifest_hash": f"hash-of-{name}",
    }


TOOLS: dict[str, dict[str, Any]] = {
    m["name"]: m
    for m in (
        manifest("look"),
        manifest("send", "keyed"),
        manifest("slow", "keyed", timeout_ms=60_000),
        {**manifest("brief", "keyed"), "key_lifetime_ms": 20_000},
        {**manifest("trace", "keyed"), "key_lifetime_ms": 20_000, "lookup": True},
        manifest("pay", "once"),
        manifest("file", "lookup"),
        {**manifest("post", "lookup"), "lookup": True, "visibility_lag_ms": 20_000},
    )
}


def define(steps: Mapping[str, Any], **more: Any) -> CompiledDefinition:
    """A definition of these steps (the first one starts), with `end` and `broken` as endings where they are named."""
    endings: dict[str, Any] = {"end": {"kind": "succeed"}, "broken": {"kind": "fail", "error": "gave_up"}}
    text = jsontext.dumps(dict(steps))
    used = {name: step for name, step in endings.items() if f'"{name}"' in text and name not in steps}
    data = {"name": "test", "deadline": "1h", "start": next(iter(steps)), "steps": {**steps, **used}, "tools": TOOLS}
    return compile_definition(Definition.model_validate({**data, **more}))


def answer(content: str | None = None, calls: list[tuple[str, Json]] | None = None, finish: str = "") -> Json:
    """A raw chat completion: text, or tool calls as (name, arguments)."""
    message: dict[str, Json] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": jsontext.dumps(arguments)}}
            for i, (name, arguments) in enumerate(calls)
        ]
    return {"choices": [{"message": message, "finish_reason": finish or ("tool_calls" if calls else "stop")}]}


@dataclass
class Scenario:
    """One workflow. `sent` has everything but journal events that the last input led to, `causes` the record that each
    of them names as its cause; `journal` all events.

    `versions` are the definitions that are known beside the one it starts with.
    """

    definition: CompiledDefinition
    versions: tuple[CompiledDefinition, ...] = ()
    now_ms: int = START_MS
    workflow_id: str = WORKFLOW
    row: Row | None = None
    offset: int = -1
    journal: list[Message[Record]] = field(default_factory=list)
    sent: list[Record] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    last: list[Record] = field(default_factory=list)
    tasks: list[Record] = field(default_factory=list)

    @property
    def driver(self) -> Driver:
        return Driver({known.hash: known for known in (self.definition, *self.versions)}.get)

    @property
    def state(self) -> WorkflowState:
        assert self.row is not None
        return self.row.state

    @property
    def names(self) -> list[str]:
        """The types of the events that the last input led to."""
        return [type(event).__name__ for event in self.last]

    def feed(self, body: Record, input_id: str = "", actor: tuple[str, str] = ("person", "ann")) -> list[Record]:
        """Fold one input; returns the events it led to."""
        self.offset += 1
        meta = EventMeta(
            event_id=input_id or f"input-{self.offset}",
            type=type(body).__name__,
            tenant=TENANT,
            workflow_id=self.workflow_id,
            actor_kind=actor[0],
            actor_id=actor[1],
            occurred_at_ms=self.now_ms,
        )
        outcome = self.driver.fold(self.row, Message(meta=meta, body=body), offset=self.offset, now_ms=self.now_ms)
        if outcome.row is not None:
            self.row = load_row(encode_row(outcome.row))
        added = [decode(record.value) for record in outcome.journal]
        self.journal += added
        self.last = [message.body for message in added]
        sent = [decode(record.value) for record in outcome.outbound]
        self.sent, self.causes = [message.body for message in sent], [message.meta.cause_id for message in sent]
        self.tasks += [body for body in self.sent if isinstance(body, t.RunModelCall | t.RunToolCall | t.LookUpEffect)]
        return self.last

    def start(self, value: Json = None, **more: Any) -> list[Record]:
        body = req.StartWorkflow(definition="test", definition_hash=self.definition.hash, input=value or {})
        return self.feed(body, **more)

    def take(self) -> Any:
        """The oldest task that was sent and not taken yet."""
        return self.tasks.pop(0)

    def claim(self, task: Any, executor: str = "x1", lease_ms: int = 30_000) -> list[Record]:
        body = rep.ClaimTask(effect_key=task.effect_key, attempt=task.attempt, executor_id=executor, lease_ms=lease_ms)
        return self.feed(body, actor=("executor", executor))

    def extend(self, task: Any, executor: str = "x1", lease_ms: int = 30_000) -> list[Record]:
        body = rep.ExtendLease(
            effect_key=task.effect_key, attempt=task.attempt, executor_id=executor, lease_ms=lease_ms
        )
        return self.feed(body, actor=("executor", executor))

    def tool_result(self, task: Any, result: Json = None, input_id: str = "", executor: str = "x1") -> list[Record]:
        body = rep.ReportToolResult(
            effect_key=task.effect_key, attempt=task.attempt, executor_id=executor, result=result, duration_ms=3
        )
        return self.feed(body, input_id, ("executor", executor))

    def model_result(self, task: Any, response: Json, executor: str = "x1") -> list[Record]:
        body = rep.ReportModelResult(
            effect_key=task.effect_key,
            attempt=task.attempt,
            executor_id=executor,
            provider="scripted",
            model="m",
            response=response,
            finish_reason="stop",
            input_tokens=10,
            output_tokens=5,
            cached_tokens=0,
            cost_microusd=7,
            duration_ms=20,
        )
        return self.feed(body, actor=("executor", executor))

    def failure(self, task: Any, error_class: str = "unavailable", executor: str = "x1", **more: Any) -> list[Record]:
        details: dict[str, Any] = {
            "error_message": "it broke",
            "http_status": 0,
            "retry_after_ms": 0,
            "retryable": False,
            "outcome_unknown": False,
            "duration_ms": 3,
        }
        body = rep.ReportTaskFailure(
            effect_key=task.effect_key,
            attempt=task.attempt,
            executor_id=executor,
            error_class=error_class,
            **{**details, **more},
        )
        return self.feed(body, actor=("executor", executor))

    def deliver(self, event_type: str, payload: Json = None, correlation: str = "", input_id: str = "") -> list[Record]:
        return self.feed(req.DeliverEvent(event_type=event_type, correlation=correlation, payload=payload), input_id)

    def decide(self, decision: str = "approve", who: str = "bea", action_hash: str = "", kind: str = "person") -> Any:
        approval = list(self.state.approvals.values())[-1]
        body = req.DecideApproval(
            approval_id=approval.approval_id,
            decision=decision,
            action_hash=action_hash or approval.action_hash,
            comment="seen",
        )
        return self.feed(body, actor=(kind, who))

    def cancel(self) -> list[Record]:
        return self.feed(req.CancelWorkflow(reason="not needed"))

    def pause(self) -> list[Record]:
        return self.feed(req.PauseWorkflow(reason="hold on"))

    def resume(self, extend_ms: int = 0) -> list[Record]:
        return self.feed(req.ResumeWorkflow(reason="go on", extend_ms=extend_ms))

    def retry(self, step: str) -> list[Record]:
        return self.feed(req.RetryStep(step=step, reason="once more"))

    def skip(self, step: str, output: Json = None) -> list[Record]:
        return self.feed(req.SkipStep(step=step, output=output, reason="done by hand"))

    def migrate(self, to: CompiledDefinition) -> list[Record]:
        return self.feed(req.MigrateWorkflow(definition_hash=to.hash, reason="it was wrong"))

    def fork(
        self,
        at: int = 0,
        *,
        to: CompiledDefinition | None = None,
        changes: Json = None,
        redo: tuple[str, ...] = (),
        workflow_id: str = "w-2",
    ) -> "Scenario":
        """A workflow that begins from this one's history up to an event (the last one by default)."""
        journal = self.journal[: at or len(self.journal)]
        scenario = Scenario(to or self.definition, self.versions, self.now_ms + 1_000, workflow_id)
        scenario.feed(fork_request(journal, scenario.definition, changes, redo))
        return scenario

    def terminate(self) -> list[Record]:
        return self.feed(req.TerminateWorkflow(reason="at once"))

    def resolve(self, effect_key: str, outcome: str, result: Json = None, kind: str = "person") -> list[Record]:
        body = req.ResolveCall(effect_key=effect_key, outcome=outcome, result=result, reason="I looked")
        return self.feed(body, actor=(kind, "bea"))

    def lookup(self, task: Any, *, found: bool, result: Json = None, error_class: str = "") -> list[Record]:
        body = rep.ReportLookup(
            effect_key=task.effect_key,
            attempt=task.attempt,
            lookup=task.lookup,
            executor_id="x1",
            found=found,
            result=result,
            evidence="where it was looked",
            error_class=error_class,
            error_message="",
        )
        return self.feed(body, actor=("executor", "x1"))

    def fire(self) -> list[Record]:
        """Let the time of the next timer come, and fire."""
        self.now_ms = max(self.now_ms, next_due_ms(self.state))
        return self.fire_now()

    def fire_now(self) -> list[Record]:
        body = rep.FireTimer(timer_id="", due_at_ms=self.now_ms)
        return self.feed(body, actor=("timer", "timers"))


def fork_request(
    journal: list[Message[Record]],
    definition: CompiledDefinition,
    changes: Json = None,
    redo: tuple[str, ...] = (),
) -> req.ForkWorkflow:
    """The request for a fork from the end of a history."""
    last = journal[-1].meta
    return req.ForkWorkflow(
        definition="",
        definition_hash=definition.hash,
        source_id=last.workflow_id,
        source_sequence=last.sequence,
        source_hash=last.hash.hex(),
        snapshot=to_json(snapshot_of(journal)),
        changes=changes,
        redo=redo,
        reason="what if",
    )


def only(events: list[Record], cls: Callable[..., Any]) -> Any:
    """The one event of a type."""
    found = [event for event in events if type(event) is cls]
    assert len(found) == 1, f"{len(found)} {cls} in {events}"
    return found[0]
