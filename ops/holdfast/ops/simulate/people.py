"""People and other systems: who starts workflows, decides approvals, sends events, and what operators do.

Everything they ask for goes through the topic `requests`, as from anybody. While faults happen they are careless; after
that they help every workflow to its end.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

from holdfast.ops.simulate.broker import Broker
from holdfast.ops.simulate.clients import partition_for
from holdfast.ops.simulate.faults import Faults
from holdfast.ops.simulate.generated import EVENTS
from holdfast.ops.simulate.invariants import Shadow
from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas import topics
from holdfast.schemas.codec import encode
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.keys import key_of
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.streams.core.appliers.calls import unknown_calls
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.state import CallStatus, Undo, WorkflowState

TENANT = "acme"
PATIENCE = 8
"""After so many attempts to help, a workflow is terminated."""
CURE_EVERY_S = 4.0


class People:
    """Everybody outside. Hears of every decision, and answers after a while."""

    def __init__(self, broker: Broker, faults: Faults, definitions: Sequence[CompiledDefinition]) -> None:
        self._broker = broker
        self._faults = faults
        self._random = faults.stream("people")
        self._definitions = definitions
        self._numbers = 0
        self._helped: dict[str, int] = {}
        self.shadows: Mapping[bytes, Shadow] = {}
        self.terminated = 0
        self.acts = 0

    def begin(self) -> None:
        """Start the workflows of the plan, and say when operators act."""
        plan, rng = self._faults.plan, self._random
        for number in range(plan.workflows):
            definition = self._definitions[-1 - number % 2 if len(self._definitions) > 1 else -1]
            named = rng.random() < 0.5
            body = req.StartWorkflow(
                definition=definition.definition.name if named else "",
                definition_hash="" if named else definition.hash,
                input={"n": rng.randint(0, 9)},
            )
            self._later(rng.uniform(0.0, 5.0), body, f"w{number}", ("person", "ann"))
            for _ in range(int(plan.acts * rng.randint(0, 3))):
                self._broker.loop.outside(rng.uniform(0.5, 25.0), self._operate, f"w{number}")
        for _ in range(rng.randint(0, 3)):
            self._publish(rng.uniform(0.0, 15.0), rng.choice(EVENTS), rng.choice(("", "shared", "w0")))

    def hear(self, shadow: Shadow, events: Sequence[Message[Record]]) -> None:
        """Hear of a decision."""
        for message in events:
            answer = _ANSWERS.get(type(message.body))
            if answer is not None:
                answer(self, shadow, message.body)

    def help(self) -> None:
        """Act for every workflow that waits for a person, from now on, again and again."""
        for shadow in list(self.shadows.values()):
            if shadow.live.held:
                self._cure(shadow)
        self._broker.loop.outside(CURE_EVERY_S, self.help)

    def _asked(self, shadow: Shadow, body: e.ApprovalRequested) -> None:
        rng, workflow_id = self._random, shadow.live.workflow_id
        if rng.random() < 0.12 and not self._faults.over:
            return  # silence never approves
        decision = "approve" if rng.random() < 0.75 else "reject"
        right = req.DecideApproval(
            approval_id=body.approval_id, decision=decision, action_hash=body.action_hash, comment="seen"
        )
        delay_s = rng.uniform(0.1, 12.0)
        if rng.random() < 0.15:
            wrong = req.DecideApproval(
                approval_id=body.approval_id, decision="approve", action_hash="another", comment=""
            )
            self._later(delay_s / 2, wrong, workflow_id, ("person", "bea"))
            self._later(delay_s / 2, right, workflow_id, ("person", "ann"))  # her own
            self._later(delay_s / 2, right, workflow_id, ("service", "bot"))
        self._later(delay_s, right, workflow_id, ("person", "bea"))
        if rng.random() < 0.2:
            self._later(delay_s * rng.uniform(1, 2), right, workflow_id, ("person", "cyd"))

    def _awaited(self, shadow: Shadow, body: e.WaitStarted) -> None:
        rng, state = self._random, shadow.live
        if rng.random() < 0.15:
            return
        delay_s = rng.uniform(0.05, 15.0)
        if rng.random() < 0.5:
            self._publish(delay_s, body.event_type, body.correlation)
        else:
            event = req.DeliverEvent(
                event_type=body.event_type, correlation=body.correlation, payload=rng.randint(0, 9)
            )
            self._later(delay_s, event, state.workflow_id, ("service", "direct"))

    def _stuck(self, shadow: Shadow, _body: Record) -> None:
        if self._random.random() < 0.8:
            self._broker.loop.outside(self._random.uniform(0.5, 15.0), self._cure, shadow)

    def _publish(self, delay_s: float, event_type: str, correlation: str) -> None:
        rng = self._random
        body = req.PublishEvent(
            event_type=event_type,
            correlation=correlation,
            payload=rng.randint(0, 9),
            ttl_ms=rng.choice((0, 500, 5_000, 60_000)),
            broadcast=rng.random() < 0.25,
        )
        self._later(delay_s, body, "", ("service", "crm"))

    def _operate(self, workflow_id: str) -> None:
        shadow = self.shadows.get(f"{TENANT}/{workflow_id}".encode())
        if shadow is None or self._faults.over:
            return
        self._later(0.0, self._random.choice(_ACTS)(self, shadow.live), workflow_id, ("person", "ops"))

    def _cure(self, shadow: Shadow) -> None:
        """What a person does about a workflow that is held: what the pages say, and in the end the last resort."""
        state, rng = shadow.live, self._random
        if not state.held:
            return
        tried = self._helped[state.workflow_id] = self._helped.get(state.workflow_id, 0) + 1
        if tried > PATIENCE and self._faults.over:
            self.terminated += 1
            self._later(0.0, req.TerminateWorkflow(reason="no way out"), state.workflow_id, ("person", "ops"))
            return
        body: Record
        searched = [c for run in state.active.values() for c in run.calls.values() if c.status is CallStatus.SEARCHED]
        if calls := unknown_calls(state) or (searched if state.closing is not None else []):
            outcomes = ("done", "not_done") if state.closing is not None else ("done", "not_done", "retry")
            body = req.ResolveCall(
                effect_key=calls[0].effect_key, outcome=rng.choice(outcomes), result=rng.randint(0, 9), reason="seen"
            )
        elif state.closing is not None:
            stuck = [u for u in state.compensations.values() if u.status in (Undo.FAILED, Undo.REGISTERED)]
            step = stuck[-1].step if stuck else ""
            if rng.random() < 0.5 and tried < PATIENCE // 2:
                body = req.RetryStep(step=step, reason="again")
            else:
                body = req.SkipStep(step=step, output=None, reason="by hand")
        else:
            body = req.ResumeWorkflow(reason="go on", extend_ms=60_000)
        self._later(0.0, body, state.workflow_id, ("person", "ops"))

    def _later(self, delay_s: float, body: Record, workflow_id: str, actor: tuple[str, str]) -> None:
        self._numbers += 1
        self._broker.loop.outside(delay_s, self._send, f"request-{self._numbers}", body, workflow_id, actor)

    def _send(self, event_id: str, body: Record, workflow_id: str, actor: tuple[str, str]) -> None:
        self.acts += 1
        meta = EventMeta(
            event_id=event_id,
            type=type(body).__name__,
            tenant=TENANT,
            workflow_id=workflow_id,
            actor_kind=actor[0],
            actor_id=actor[1],
            occurred_at_ms=self._broker.now_ms(),
        )
        key = key_of(meta, body).encode()
        place = TopicPartition(topics.REQUESTS.name, partition_for(key, self._broker.partitions))
        value, headers = encode(body, meta), cloud_event(body, meta, "/people")
        self._broker.append(place, key, value, headers)
        if self._faults.happens("request sent twice"):
            self._broker.loop.outside(self._random.uniform(0.0, 3.0), self._broker.append, place, key, value, headers)

    def a_step(self, state: WorkflowState) -> str:
        """The name of a step that an operator might mean."""
        known = [*state.active, *state.outputs, "nowhere"]
        return self._random.choice(known)


_Act = Callable[[People, WorkflowState], Record]
_ACTS: Sequence[_Act] = (
    lambda _people, _state: req.CancelWorkflow(reason="not needed"),
    lambda _people, _state: req.PauseWorkflow(reason="hold on"),
    lambda _people, _state: req.PauseWorkflow(reason="hold on"),
    lambda _people, _state: req.ResumeWorkflow(reason="go on", extend_ms=30_000),
    lambda _people, _state: req.ResumeWorkflow(reason="go on", extend_ms=0),
    lambda people, state: req.RetryStep(step=people.a_step(state), reason="once more"),
    lambda people, state: req.SkipStep(step=people.a_step(state), output={"n": 1}, reason="by hand"),
    lambda _people, _state: req.TerminateWorkflow(reason="at once"),
    lambda _people, _state: req.TriggerSchedule(reason="now"),
)
_ANSWERS: Mapping[type[Record], Callable[[People, Shadow, Any], None]] = {
    e.ApprovalRequested: People._asked,
    e.WaitStarted: People._awaited,
    e.WorkflowBlocked: People._stuck,
    e.WorkflowPaused: People._stuck,
}
