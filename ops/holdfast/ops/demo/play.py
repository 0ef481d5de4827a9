"""The plot: what is asked of the engine, and which process is killed at which point.

Every kill waits for something that can be seen, never for a time: an event in the journal, or an entry in the own
journal of an outside system.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from holdfast.ops.client import Client
from holdfast.ops.demo import example
from holdfast.ops.demo.stage import Stage
from holdfast.ops.demo.witness import STUCK_S, Event, Witness, entry, witness
from holdfast.ops.errors import CommandError
from holdfast.ops.trial.projected import projected
from holdfast.schemas import events as e
from holdfast.schemas.record import Json

THINKING_MS = 1_500
"""How long the scripted model takes for the draft, so that there is a moment while a call is out."""
SILENCE_MS = 60_000
"""How long the e-mail system leaves the first request without an answer, after it has accepted it."""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill -9: of which role, at which point, after how long the work went on, and what shows that it did."""

    role: str
    point: str
    down_s: float
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who is told what happens: each event of the workflow, each kill, and each kill that is over."""

    event: Callable[[Event], None]
    killed: Callable[[str, str], None]
    went_on: Callable[[Kill], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the play came to. `model_intents` counts the model calls that the journal has intents of."""

    kills: tuple[Kill, ...]
    model_intents: int


async def play(stage: Stage, audience: Audience) -> Outcome:
    """Play it to the end of the workflow. Raises CommandError if it does not go as it should."""
    project = stage.project
    async with AsyncExitStack() as open_:
        seen = await open_.enter_async_context(witness(project, audience.event))
        desk, reviewer = [
            await open_.enter_async_context(
                Client(project.bootstrap, project.prefix, project.settings.tenant, actor, actor_kind=kind)
            )
            for actor, kind in ((example.DESK, "service"), (example.REVIEWER, "person"))
        ]
        return await _Play(stage, audience, seen, desk, reviewer).run()


class _Play:
    def __init__(self, stage: Stage, audience: Audience, seen: Witness, desk: Client, reviewer: Client) -> None:
        self._stage = stage
        self._audience = audience
        self._seen = seen
        self._desk = desk
        self._reviewer = reviewer
        self._kills: list[Kill] = []

    async def run(self) -> Outcome:
        await self._ask_the_customer()
        await self._draft()
        await self._approve_and_send()
        await self._seen.until(e.WorkflowCompleted)
        return Outcome(kills=tuple(self._kills), model_intents=len(self._seen.model_intents))

    async def _ask_the_customer(self) -> None:
        await self._desk.publish(self._stage.definition)
        ticket: Json = {"ticket_id": example.TICKET_ID}
        await self._desk.start(self._stage.definition.name, ticket, workflow_id=example.WORKFLOW_ID)
        await self._seen.until(e.ToolCallCompleted)
        killed = self._kill("sink", "while events were flowing")
        await self._seen.until(e.WaitStarted)
        if not await projected(self._stage.project, timeout_s=STUCK_S):
            raise CommandError(f"ClickHouse did not have the journal within {STUCK_S:.0f} s of the kill")
        self._went_on(killed, "ClickHouse has caught up with the workflow")

    async def _draft(self) -> None:
        model = self._stage.model
        if model:
            fault = {"kind": "delay", "match": {"system": "role: draft"}, "delay_ms": THINKING_MS}
            await asyncio.to_thread(model.add_fault, fault)
        await self._desk.deliver(example.WORKFLOW_ID, example.REPLY_EVENT, example.REPLY, correlation=example.TICKET_ID)
        await self._seen.until(e.ModelCallRequested, "draft")
        if model:
            await entry(model, lambda call: call.get("rule") == "draft")
        killed = self._kill("orchestrator", "while the model was at work")
        back = partial(self._went_on, killed, "its answer is taken, without asking twice")
        await self._seen.until(e.ModelCallCompleted, "draft", first=back)

    async def _approve_and_send(self) -> None:
        emails = self._stage.emails
        asked = await self._seen.until(e.ApprovalRequested)
        assert isinstance(asked.body, e.ApprovalRequested)
        silence = {"delay_after_ms": SILENCE_MS, "times": 1}
        await asyncio.to_thread(emails.request, "PUT", "/faults", silence)
        await self._reviewer.decide(
            example.WORKFLOW_ID, asked.body.approval_id, "approve", asked.body.action_hash, comment="Good answer."
        )
        killed = self._kill("broker", "right after the approval was sent")
        await self._seen.until(e.ToolCallRequested, "send")
        await entry(emails, lambda found: found["entry"] == "accepted")
        self._went_on(killed, "the approved e-mail is on its way")
        killed = self._kill("executor-tool", "before the e-mail system could answer")
        back = partial(self._went_on, killed, "it has asked again, same key")
        await self._seen.until(e.ToolCallCompleted, "send", first=back)

    def _kill(self, role: str, point: str) -> "_Killed":
        supervisor = self._stage.project.supervisor
        killed = _Killed(role=role, point=point, pid=supervisor.pid(role), at_s=time.monotonic())
        supervisor.signal(role, signal.SIGKILL)
        self._audience.killed(role, point)
        return killed

    def _went_on(self, killed: "_Killed", outcome: str) -> None:
        down_s = time.monotonic() - killed.at_s
        if killed.pid is None or self._stage.project.supervisor.pid(killed.role) == killed.pid:
            raise CommandError(f"{killed.role} was not killed")
        kill = Kill(role=killed.role, point=killed.point, down_s=down_s, outcome=outcome)
        self._kills.append(kill)
        self._audience.went_on(kill)


@dataclass(frozen=True, kw_only=True)
class _Killed:
    role: str
    point: str
    pid: int | None
    at_s: float
