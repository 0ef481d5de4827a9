"""Putting a schedule in force, whatever the tables say at that moment: one workflow runs it, by the last version."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest

from holdfast.ops import schedule_apply
from holdfast.ops.answers import Folded, Refused, Repeated, Verdict
from holdfast.ops.errors import CommandError
from holdfast.ops.schedule_apply import Applied, Ports, put_in_force
from holdfast.ops.schedules import Run
from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.streams.core.compile import compile_definition
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.startable import Startable
from holdfast.streams.schedule_file import parse_schedules
from support.scenario import START_MS, TENANT, define
from support.town import Town

JOB = define({"work": {"kind": "tool", "tool": "look", "next": "end"}}, name="job")
FIRST, SECOND = "schedule:nightly:1", "schedule:nightly:2"


def nightly(every: str = "1h", **timing: Any) -> Definition:
    fields = ", ".join(f"{name}: {value}" for name, value in {"every": every, **timing}.items())
    text = f"name: nightly\ndefinition: job\ntiming: {{{fields}}}\n"
    return parse_schedules({"": text}, {"job": Startable(hash=JOB.hash, input={})})[""]


@dataclass
class Office:
    """An engine in memory, and tables that may be behind it: `stale` has what they say before they say the truth."""

    town: Town = field(default_factory=lambda: Town.of(JOB))
    stale: deque[Run | None] = field(default_factory=deque)
    follows: bool = True
    asked: int = 0

    async def apply(self, definition: Definition) -> Applied:
        ports = Ports(ask=self.ask, publish=self.publish, latest=self.latest)
        return await put_in_force(definition, ports, self.town.now_ms)

    async def publish(self, definition: Definition) -> None:
        self.town.definitions[definition.hash] = compile_definition(definition)

    async def ask(self, workflow_id: str, body: Record) -> Verdict:
        self.asked += 1
        before = len(self.town.journals.get(workflow_id, ()))
        self.town.send(workflow_id, body, input_id=f"request-{self.asked}")
        events = self.town.journals[workflow_id][before:]
        for event in events:
            if isinstance(event, e.InputRejected):
                return Refused(code=event.code, message=event.message)
        meta = EventMeta(
            event_id="",
            type="",
            tenant=TENANT,
            workflow_id=workflow_id,
            actor_kind="person",
            actor_id="ann",
            occurred_at_ms=0,
        )
        return Folded(events=tuple(Message(meta=meta, body=event) for event in events)) if events else Repeated()

    async def latest(self, name: str) -> Run | None:
        if self.stale or not self.follows:
            return self.stale.popleft() if self.stale else None
        return self.truth()

    def truth(self) -> Run | None:
        """The latest run as the engine has it."""
        runs = [row.state for name, row in self.town.rows.items() if name.startswith("schedule:")]
        if not runs:
            return None
        state = runs[-1]
        run = state.active.get("fire")
        return Run(
            tenant=state.tenant,
            name=state.definition_name,
            number=int(state.workflow_id.rpartition(":")[2]),
            workflow_id=state.workflow_id,
            status=state.status.value,
            definition_hash=state.definition_hash,
            started_at_ms=state.started_at_ms,
            ended_at_ms=None,
            reason="",
            acted_by="",
            acted_to_ms=run.schedule.last_ms if run is not None and run.schedule is not None else START_MS,
            started=0,
            last_nominal_at_ms=None,
            last_outcome="",
        )

    def alive(self) -> dict[str, str]:
        """The schedule's workflows that run, and the version that each runs by."""
        return {
            name: row.state.definition_hash
            for name, row in self.town.rows.items()
            if name.startswith("schedule:") and not row.state.finished
        }


async def test_a_schedule_is_started_then_left_alone_then_moved() -> None:
    office = Office()
    old, new = nightly("1h"), nightly("2h")
    assert await office.apply(old) == Applied(status="new", workflow_id=FIRST)
    assert await office.apply(old) == Applied(status="unchanged", workflow_id=FIRST)
    assert await office.apply(new) == Applied(status="changed", workflow_id=FIRST)
    assert await office.apply(old) == Applied(status="changed", workflow_id=FIRST)
    assert office.alive() == {FIRST: old.hash}


async def test_a_schedule_that_was_deleted_starts_anew() -> None:
    office = Office()
    await office.apply(nightly())
    office.town.cancel(FIRST)
    assert await office.apply(nightly()) == Applied(status="started again", workflow_id=SECOND)
    assert office.town.state(SECOND).input == {}


async def test_a_schedule_that_failed_goes_on_where_it_stopped() -> None:
    office = Office()
    await office.apply(nightly())
    office.town.fire(FIRST)
    acted_to_ms = office.town.now_ms
    run = office.truth()
    assert run is not None
    office.stale = deque([Run(**{**vars(run), "status": "failed"})])
    office.town.cancel(FIRST)
    assert (await office.apply(nightly())).workflow_id == SECOND
    assert office.town.state(SECOND).input == {"after_ms": acted_to_ms}


async def test_whoever_starts_it_second_moves_what_the_first_one_started() -> None:
    office = Office()
    first, second = nightly("1h"), nightly("2h")
    await office.apply(first)
    office.stale = deque([None, None])
    assert await office.apply(second) == Applied(status="changed", workflow_id=FIRST)
    assert office.alive() == {FIRST: second.hash}


async def test_whoever_moves_it_while_it_is_deleted_starts_it_anew() -> None:
    office = Office()
    await office.apply(nightly("1h"))
    before = office.truth()
    office.town.cancel(FIRST)
    office.stale = deque([before, before])
    new = nightly("2h")
    assert await office.apply(new) == Applied(status="started again", workflow_id=SECOND)
    assert office.alive() == {SECOND: new.hash}


async def test_nobody_guesses_while_the_tables_do_not_show_what_others_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_apply, "PATIENCE_S", 0.3)
    office = Office()
    await office.apply(nightly("1h"))
    office.follows = False
    with pytest.raises(CommandError, match="the tables do not show"):
        await office.apply(nightly("2h"))
    assert office.alive() == {FIRST: nightly("1h").hash}


async def test_what_would_never_fire_is_not_applied() -> None:
    office = Office()
    with pytest.raises(CommandError, match="would never fire"):
        await office.apply(nightly(end=office.town.now_ms))
    assert office.asked == 0


async def test_what_is_over_when_the_engine_hears_of_it_is_told() -> None:
    office = Office()
    once = nightly(end=office.town.now_ms + 3_600_000)
    office.town.now_ms += 7_200_000
    ports = Ports(ask=office.ask, publish=office.publish, latest=office.latest)
    with pytest.raises(CommandError, match="would never fire"):
        await put_in_force(once, ports, START_MS)


async def test_a_schedule_that_has_fired_for_the_last_time_stays_over() -> None:
    office = Office()
    once = nightly("1h", end=office.town.now_ms + 3_600_000)
    await office.apply(once)
    office.town.fire(FIRST)
    assert office.town.state(FIRST).status == "completed"
    assert await office.apply(once) == Applied(status="over", workflow_id=FIRST)
    assert (await office.apply(nightly())).workflow_id == SECOND


async def test_other_refusals_are_told_with_a_cure() -> None:
    office = Office()
    definition = nightly()
    stranger = define({"hear": {"kind": "wait", "event": "told", "timeout": "1h", "next": "end"}}, name="other")
    office.town.definitions[stranger.hash] = stranger
    office.town.send(FIRST, req.StartWorkflow(definition="", definition_hash=stranger.hash, input={}))
    office.stale = deque([None])
    with pytest.raises(CommandError, match="cannot_migrate") as caught:
        await office.apply(definition)
    assert caught.value.cure
