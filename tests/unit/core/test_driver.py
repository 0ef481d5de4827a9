"""The driver where it meets crashes and code that has changed: what stands in the journal is never contradicted."""

from dataclasses import replace
from typing import Any

import pytest

import holdfast.streams.driver as driver
from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas.codec import decode
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.schemas.results import WorkflowStatus
from holdfast.streams.core.decide import Decision, decide
from holdfast.streams.core.rejections import reject
from holdfast.streams.driver import Outcome
from support.scenario import Scenario, define

WAIT = {"kind": "wait", "event": "paid", "timeout": "30m", "next": "go"}
STEPS = {"pay": WAIT, "go": {"kind": "tool", "tool": "send", "next": "end"}}
DELIVERED = req.DeliverEvent(event_type="paid", correlation="", payload=1)


def cut_short(events: int) -> tuple[Scenario, list[Message[Record]]]:
    """A workflow whose decision on an event was journaled up to so many events, and its row from before."""
    live = Scenario(define(STEPS))
    live.start()
    row = live.row
    live.feed(DELIVERED, "ev-1")
    decision = live.journal[-len(live.last) :]
    assert len(decision) > events
    crashed = Scenario(live.definition, row=row, offset=live.offset, now_ms=live.now_ms)
    return crashed, decision[:events]


def fold_again(crashed: Scenario, prefix: list[Message[Record]]) -> tuple[Outcome, list[Record]]:
    meta = EventMeta(
        event_id="ev-1",
        type="DeliverEvent",
        tenant="acme",
        workflow_id="w-1",
        actor_kind="person",
        actor_id="ann",
        occurred_at_ms=crashed.now_ms,
    )
    outcome = crashed.driver.fold(
        crashed.row,
        Message(meta=meta, body=DELIVERED),
        offset=crashed.offset,
        now_ms=crashed.now_ms,
        prefix=prefix,
    )
    return outcome, [decode(record.value).body for record in outcome.journal]


@pytest.mark.parametrize("events", [1, 2, 3])
def test_only_the_missing_events_are_appended(events: int) -> None:
    crashed, prefix = cut_short(events)
    outcome, appended = fold_again(crashed, prefix)
    names = [type(m.body).__name__ for m in prefix] + [type(body).__name__ for body in appended]
    assert names == ["EventReceived", "StepCompleted", "StepStarted", "ToolCallRequested"]
    first = decode(outcome.journal[0].value).meta
    assert first.previous_hash == prefix[-1].meta.hash
    assert first.sequence == prefix[-1].meta.sequence + 1


def other_event(*_args: Any) -> Decision:
    return Decision(events=(e.WorkflowCancelled(reason="another version"),), state=None)


def refused(*_args: Any) -> Any:
    return reject("workflow_held", workflow_id="w-1", status="blocked")


def broken(*_args: Any) -> Any:
    raise ZeroDivisionError("a bug")


@pytest.mark.parametrize("other", [other_event, refused, broken])
def test_a_version_that_decides_differently_keeps_what_is_journaled_and_asks_a_person(
    monkeypatch: pytest.MonkeyPatch, other: Any
) -> None:
    crashed, prefix = cut_short(2)
    monkeypatch.setattr(driver, "decide", other)
    outcome, appended = fold_again(crashed, prefix)
    assert [type(body).__name__ for body in appended] == ["WorkflowBlocked"]
    meta = decode(outcome.journal[0].value).meta
    assert (meta.sequence, meta.index, meta.count) == (prefix[-1].meta.sequence + 1, 2, 3)
    assert outcome.row is not None
    assert outcome.row.state.status == "blocked"


def test_an_event_that_cannot_be_written_parks_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(define(STEPS))
    scenario.start()
    real = decide

    def unwritable(*args: Any) -> Any:
        decision = real(*args)
        assert isinstance(decision, Decision)
        received = decision.events[0]
        assert isinstance(received, e.EventReceived)
        not_json: Any = {1, 2}
        return replace(decision, events=(replace(received, payload=not_json), *decision.events[1:]))

    monkeypatch.setattr(driver, "decide", unwritable)
    scenario.feed(DELIVERED, "ev-1")
    assert scenario.names == ["WorkflowBlocked"]


def test_a_definition_that_is_not_known_is_refused_and_changes_nothing() -> None:
    scenario = Scenario(define(STEPS))
    scenario.feed(req.StartWorkflow(definition="test", definition_hash="another", input={}))
    assert scenario.row is None
    assert [getattr(body, "code", "") for body in scenario.sent] == ["definition_not_found"]


def test_what_is_owed_after_a_recovery_is_what_was_sent() -> None:
    scenario = Scenario(define(STEPS))
    scenario.start()
    scenario.feed(DELIVERED, "ev-1")
    assert scenario.row is not None
    owed = [decode(record.value) for record in scenario.driver.owed(scenario.row)]
    task = scenario.take()
    status = WorkflowStatus(status="running", step="go", updated_at_ms=scenario.now_ms)
    assert [message.body for message in owed] == [task, status]
