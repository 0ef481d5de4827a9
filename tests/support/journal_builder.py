"""Correctly chained journals for tests: what an orchestrator would have appended, without running one."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from holdfast.schemas import chain, codec, events, headers, ids, jsontext
from holdfast.schemas.record import EventMeta, Json, Message, Record

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@dataclass(kw_only=True)
class WorkflowJournal:
    """The journal of one workflow. `decide` appends the events of one decision and returns them."""

    tenant: str = "default"
    workflow_id: str = "wf-1"
    definition: str = "support_ticket"
    now_ms: int = START_MS
    inbox_offset: int = 0
    sequence: int = 0
    head: bytes = chain.GENESIS
    messages: list[Message[Record]] = field(default_factory=list)

    @property
    def key(self) -> str:
        return ids.workflow_key(self.tenant, self.workflow_id)

    def effect_key(self, step: str, visit: int = 1, turn: int = 0, index: int = 0) -> str:
        return ids.effect_key(self.tenant, self.workflow_id, step, visit, turn, index)

    def decide(
        self, *bodies: Record, actor: tuple[str, str] = ("engine", "orchestrator"), after_ms: int = 20
    ) -> list[Message[Record]]:
        self.now_ms += after_ms
        self.inbox_offset += 1
        made = [self._message(body, index, len(bodies), actor) for index, body in enumerate(bodies)]
        self.messages.extend(made)
        return made

    def _message(self, body: Record, index: int, count: int, actor: tuple[str, str]) -> Message[Record]:
        self.sequence += 1
        meta = EventMeta(
            event_id="",
            type=type(body).__name__,
            tenant=self.tenant,
            workflow_id=self.workflow_id,
            definition_name=self.definition,
            definition_hash=jsontext.digest(self.definition),
            sequence=self.sequence,
            index=index,
            count=count,
            cause_offset=self.inbox_offset,
            cause_id=ids.derived_id(self.key, "cause", self.inbox_offset),
            correlation_id=f"corr-{self.workflow_id}",
            actor_kind=actor[0],
            actor_id=actor[1],
            occurred_at_ms=self.now_ms,
            recorded_at_ms=self.now_ms,
            previous_hash=self.head,
        )
        self.head = chain.event_hash(self.head, meta, codec.payload_of(body))
        event_id = ids.derived_id(self.key, self.sequence, self.head.hex())
        return Message(meta=replace(meta, hash=self.head, event_id=event_id), body=body)


def support_ticket(
    workflow_id: str, *, tenant: str = "default", start_ms: int = START_MS, ended: bool = True
) -> WorkflowJournal:
    """A whole run: a model loop with tools and a retry, an approval, a wait, a sleep, 40 events if it ended."""
    journal = WorkflowJournal(tenant=tenant, workflow_id=workflow_id, now_ms=start_ms)
    ticket: Json = {"ticket_id": workflow_id, "text": "Das Päckchen kam beschädigt an \u2013 bitte ersetzen 📦"}
    journal.decide(
        events.WorkflowStarted(input=ticket, deadline_at_ms=start_ms + 86_400_000),
        events.StepStarted(step="triage", visit=1, kind="agent", timeout_at_ms=0),
        model_requested(journal, "triage", turn=1),
        actor=("service", "helpdesk"),
    )
    journal.decide(model_failed(journal, "triage", turn=1), model_requested(journal, "triage", turn=1, attempt=2))
    journal.decide(
        model_completed(journal, "triage", turn=1, attempt=2), tool_requested(journal, "triage", "read_ticket", turn=1)
    )
    journal.decide(claimed(journal, "triage", turn=1))
    journal.decide(
        tool_completed(journal, "triage", "read_ticket", turn=1),
        model_requested(journal, "triage", turn=2),
        actor=("executor", "executor-tool@host/1-2"),
    )
    journal.decide(
        model_completed(journal, "triage", turn=2),
        events.OutputRejected(
            step="triage",
            visit=1,
            turn=2,
            effect_key=journal.effect_key("triage", turn=2),
            errors=("category is missing", "urgency is missing"),
            repair_round=1,
        ),
        model_requested(journal, "triage", turn=3),
    )
    journal.decide(
        model_completed(journal, "triage", turn=3),
        completed("triage", "agent", "ask"),
        events.StepStarted(step="ask", visit=1, kind="wait", timeout_at_ms=0),
        events.WaitStarted(
            step="ask",
            visit=1,
            wait_id="ask.1",
            event_type="CustomerAnswered",
            correlation=workflow_id,
            expires_at_ms=journal.now_ms + 3_600_000,
        ),
    )
    journal.decide(
        events.EventReceived(
            event_type="CustomerAnswered",
            correlation=workflow_id,
            source_id=f"mail-{workflow_id}",
            payload={"answer": "ja, bitte"},
            wait_id="ask.1",
        ),
        completed("ask", "wait", "cool_down"),
        events.StepStarted(step="cool_down", visit=1, kind="sleep", timeout_at_ms=0),
        events.TimerScheduled(step="cool_down", visit=1, timer_id="cool_down.1", due_at_ms=journal.now_ms + 60_000),
        after_ms=30_000,
    )
    due_at_ms = journal.now_ms + 60_000
    journal.decide(
        events.TimerFired(timer_id="cool_down.1", due_at_ms=due_at_ms),
        completed("cool_down", "sleep", "send"),
        events.StepStarted(step="send", visit=1, kind="approval", timeout_at_ms=0),
        events.ApprovalRequested(
            step="send",
            visit=1,
            approval_id="send.1",
            tool="send_email",
            arguments={"to": "kunde@example.org"},
            action_hash=jsontext.digest(["send", workflow_id]),
            roles=("support-lead",),
            summary="Send the answer to the customer?",
            expires_at_ms=due_at_ms + 3_600_000,
        ),
        actor=("timer", "orchestrator"),
        after_ms=60_000,
    )
    if not ended:
        return journal
    journal.decide(
        events.ApprovalDecided(
            step="send",
            visit=1,
            approval_id="send.1",
            decision="approve",
            action_hash=jsontext.digest(["send", workflow_id]),
            comment="Fine.",
        ),
        tool_requested(journal, "send", "send_email", effect="keyed", approval_id="send.1"),
        actor=("person", "mia@example.org"),
        after_ms=120_000,
    )
    journal.decide(claimed(journal, "send"))
    journal.decide(
        tool_completed(journal, "send", "send_email"),
        completed("send", "approval", "close"),
        events.StepStarted(step="close", visit=1, kind="tool", timeout_at_ms=0),
        tool_requested(journal, "close", "close_ticket", effect="keyed"),
    )
    journal.decide(claimed(journal, "close"))
    journal.decide(
        tool_completed(journal, "close", "close_ticket"),
        completed("close", "tool", ""),
        events.WorkflowCompleted(output={"closed": True}),
    )
    return journal


def tool_chain(workflow_id: str, steps: int, *, tenant: str = "default", start_ms: int = START_MS) -> WorkflowJournal:
    """A chain of `read` tool steps: three events a step, the shape of the throughput benchmark."""
    journal = WorkflowJournal(tenant=tenant, workflow_id=workflow_id, definition="tool_chain", now_ms=start_ms)
    names = [f"step_{number}" for number in range(steps)]
    journal.decide(
        events.WorkflowStarted(input={"n": steps}, deadline_at_ms=start_ms + 86_400_000),
        events.StepStarted(step=names[0], visit=1, kind="tool", timeout_at_ms=0),
        tool_requested(journal, names[0], "look_up"),
    )
    for name, following in zip(names, [*names[1:], ""], strict=True):
        last = not following
        journal.decide(
            tool_completed(journal, name, "look_up"),
            completed(name, "tool", following),
            *(
                [events.WorkflowCompleted(output={"n": steps})]
                if last
                else [tool_requested(journal, following, "look_up")]
            ),
        )
    return journal


def completed(step: str, kind: str, next_step: str) -> events.StepCompleted:
    return events.StepCompleted(step=step, visit=1, kind=kind, output={"done": step}, next_step=next_step)


def model_requested(journal: WorkflowJournal, step: str, turn: int, attempt: int = 1) -> events.ModelCallRequested:
    return events.ModelCallRequested(
        step=step,
        visit=1,
        turn=turn,
        effect_key=journal.effect_key(step, turn=turn),
        attempt=attempt,
        model="small-1",
        messages=[{"role": "user", "content": "Please look at this ticket and say what it is about. " * 3}],
        message_count=turn * 2,
        parameters={"max_completion_tokens": 500},
        request_sha256=jsontext.digest([step, turn]),
        deadline_at_ms=journal.now_ms + 60_000,
    )


def model_completed(journal: WorkflowJournal, step: str, turn: int, attempt: int = 1) -> events.ModelCallCompleted:
    return events.ModelCallCompleted(
        step=step,
        visit=1,
        turn=turn,
        effect_key=journal.effect_key(step, turn=turn),
        attempt=attempt,
        executor_id="executor-model@host/1-2",
        provider="scripted",
        model="small-1-2026",
        response={"choices": [{"message": {"role": "assistant", "content": '{"category":"damaged_item"}'}}]},
        finish_reason="stop",
        input_tokens=400 + turn,
        output_tokens=50,
        cached_tokens=100,
        cost_microusd=1200 + turn,
        duration_ms=850,
    )


def model_failed(journal: WorkflowJournal, step: str, turn: int, attempt: int = 1) -> events.ModelCallFailed:
    return events.ModelCallFailed(
        step=step,
        visit=1,
        turn=turn,
        effect_key=journal.effect_key(step, turn=turn),
        attempt=attempt,
        executor_id="executor-model@host/1-2",
        error_class="rate_limited",
        error_message="The endpoint asked to wait 2 s.",
        http_status=429,
        retry_at_ms=journal.now_ms + 2_000,
        duration_ms=40,
    )


def tool_requested(
    journal: WorkflowJournal, step: str, tool: str, *, turn: int = 0, effect: str = "read", approval_id: str = ""
) -> events.ToolCallRequested:
    return events.ToolCallRequested(
        step=step,
        visit=1,
        turn=turn,
        effect_key=journal.effect_key(step, turn=turn),
        index=0,
        attempt=1,
        tool=tool,
        effect=effect,
        arguments={"ticket_id": journal.workflow_id},
        action_hash=jsontext.digest([step, journal.workflow_id]),
        approval_id=approval_id,
        call_id=f"call_{turn}",
        deadline_at_ms=journal.now_ms + 10_000,
    )


def tool_completed(journal: WorkflowJournal, step: str, tool: str, turn: int = 0) -> events.ToolCallCompleted:
    return events.ToolCallCompleted(
        step=step,
        visit=1,
        turn=turn,
        effect_key=journal.effect_key(step, turn=turn),
        index=0,
        attempt=1,
        executor_id="executor-tool@host/1-2",
        tool=tool,
        result={"ticket": {"id": journal.workflow_id, "text": "It arrived broken.", "customer": "c-17"}},
        duration_ms=12,
    )


def claimed(journal: WorkflowJournal, step: str, turn: int = 0) -> events.TaskClaimed:
    return events.TaskClaimed(
        step=step,
        visit=1,
        effect_key=journal.effect_key(step, turn=turn),
        attempt=1,
        executor_id="executor-tool@host/1-2",
        lease_until_ms=journal.now_ms + 30_000,
    )


@dataclass(frozen=True, kw_only=True)
class JournalRecord:
    """What stands on the journal topic for one event."""

    key: bytes
    value: bytes
    headers: headers.Headers


def record_of(message: Message[Record]) -> JournalRecord:
    meta = message.meta
    return JournalRecord(
        key=ids.workflow_key(meta.tenant, meta.workflow_id).encode(),
        value=codec.encode(message.body, meta),
        headers=headers.cloud_event(message.body, meta, "/holdfast/orchestrator"),
    )


def interleaved(journals: list[WorkflowJournal]) -> Iterator[Message[Record]]:
    """The events of several workflows in turns, as a partition carries them."""
    longest = max((len(journal.messages) for journal in journals), default=0)
    for position in range(longest):
        for journal in journals:
            if position < len(journal.messages):
                yield journal.messages[position]
