"""Events from outside: several that a step waits for, early ones, and those that the correlator hands over."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.schemas import correlations as c
from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas import results as res
from holdfast.schemas import topics
from holdfast.schemas.codec import decode
from holdfast.schemas.record import Json, Record
from holdfast.streams.core.correlator.fold import DEFAULT_TTL_MS, KEPT_LIMIT, KEPT_LIMIT_BYTES, REMEMBERED_MS
from holdfast.streams.core.subscriptions import subscriptions
from support.scenario import START_MS, WORKFLOW, Scenario, define, only

PAID = {"kind": "wait", "event": "order.paid", "correlation": "${input.order}", "timeout": "20m", "next": "end"}
EITHER = {
    "kind": "wait",
    "events": [
        {"event": "order.paid", "correlation": "${input.order}"},
        {"event": "order.cancelled", "correlation": "${input.order}"},
        {"event": "shop.closed"},
    ],
    "timeout": "20m",
    "next": "end",
}
LOOK = {"kind": "tool", "tool": "look", "next": "pay"}
ORDER: Json = {"order": "o-1"}


def started(steps: dict[str, Any], **more: Any) -> Scenario:
    scenario = Scenario(define(steps, **more))
    scenario.start(ORDER)
    return scenario


def subscription(wait: str = "pay.1") -> str:
    return f"{WORKFLOW}/{wait}/{START_MS}"


def told(scenario: Scenario, cls: type[Record]) -> list[tuple[str, ...]]:
    """What the last input told the correlator: (subscription, type, value), and for what is over the event."""
    bodies: list[Any] = [body for body in scenario.sent if type(body) is cls]
    return [
        (b.subscription_id, b.event_type, b.correlation, *([b.source_id] if cls is c.SubscriptionClosed else []))
        for b in bodies
    ]


def hand(scenario: Scenario, event: str = "order.paid", **more: Any) -> list[Record]:
    """What the correlator does with a published event."""
    fields = {"correlation": "o-1", "payload": {"cents": 5}, "subscription_id": subscription(), "source_id": "e-1"}
    return scenario.feed(req.DeliverEvent(event_type=event, **{**fields, **more}), actor=("service", "crm"))


@pytest.mark.parametrize(
    ("event", "correlation"), [("order.paid", "o-1"), ("order.cancelled", "o-1"), ("shop.closed", "any")]
)
def test_the_first_of_several_events_ends_the_wait_and_says_which(event: str, correlation: str) -> None:
    scenario = started({"pay": EITHER})
    scenario.deliver(event, {"n": 1}, correlation)
    assert scenario.state.outputs["pay"] == {"event": event, "correlation": correlation, "payload": {"n": 1}}


def test_an_event_of_another_value_is_none_of_the_several() -> None:
    scenario = started({"pay": EITHER})
    scenario.deliver("order.paid", {}, "o-2")
    assert scenario.state.status == "waiting"


def test_an_early_event_ends_a_wait_for_several() -> None:
    scenario = started({"find": LOOK, "pay": EITHER})
    scenario.deliver("order.cancelled", {"why": "late"}, "o-1")
    scenario.tool_result(scenario.take())
    output: Any = scenario.state.outputs["pay"]
    assert output["event"] == "order.cancelled"


def test_the_correlator_hears_of_every_event_that_would_end_the_wait() -> None:
    scenario = started({"pay": EITHER})
    assert told(scenario, c.SubscriptionOpened) == [
        (subscription(), "order.paid", "o-1"),
        (subscription(), "order.cancelled", "o-1"),
        (subscription(), "shop.closed", ""),
    ]


def test_when_one_event_has_come_the_others_are_no_longer_waited_for() -> None:
    scenario = started({"pay": EITHER})
    scenario.deliver("order.paid", {}, "o-1", input_id="ev-1")
    assert told(scenario, c.SubscriptionClosed) == [
        (subscription(), "order.paid", "o-1", "ev-1"),
        (subscription(), "order.cancelled", "o-1", "ev-1"),
        (subscription(), "shop.closed", "", "ev-1"),
    ]


@pytest.mark.parametrize("end", ["cancel", "fire"])
def test_a_wait_that_ends_without_an_event_is_closed(end: str) -> None:
    scenario = started({"pay": PAID})
    getattr(scenario, end)()
    assert told(scenario, c.SubscriptionClosed) == [(subscription(), "order.paid", "o-1", "")]


def test_a_wait_that_an_early_event_ends_is_never_heard_of() -> None:
    scenario = started({"find": LOOK, "pay": PAID})
    scenario.deliver("order.paid", {}, "o-1")
    scenario.tool_result(scenario.take())
    assert scenario.state.finished
    assert not told(scenario, c.SubscriptionOpened)


def test_each_visit_of_a_step_waits_under_a_name_of_its_own() -> None:
    scenario = started({"pay": {**PAID, "next": "again"}, "again": {**PAID, "next": "pay", "catch": {"*": "end"}}})
    for number in range(3):
        scenario.deliver("order.paid", {}, "o-1", input_id=f"ev-{number}")
    assert told(scenario, c.SubscriptionOpened) == [(subscription("again.2"), "order.paid", "o-1")]


def test_a_published_event_ends_the_wait_that_it_is_handed_to() -> None:
    scenario = started({"pay": PAID})
    hand(scenario)
    received = only(scenario.last, e.EventReceived)
    assert (received.source_id, received.wait_id, received.audience) == ("e-1", "pay.1", "first")
    assert scenario.state.outputs["pay"] == {"cents": 5}
    assert told(scenario, c.SubscriptionClosed) == [(subscription(), "order.paid", "o-1", "e-1")]


def test_a_broadcast_is_recorded_as_one() -> None:
    scenario = started({"pay": PAID})
    hand(scenario, broadcast=True)
    assert only(scenario.last, e.EventReceived).audience == "everyone"


def in_vain(scenario: Scenario) -> None:
    assert hand(scenario) == []
    assert told(scenario, c.SubscriptionClosed) == [(subscription(), "order.paid", "o-1", "")]
    assert not [body for body in scenario.sent if isinstance(body, res.RequestRejected)]


def test_a_wait_that_is_over_sends_back_what_it_is_handed() -> None:
    scenario = started({"pay": {**PAID, "next": "find"}, "find": {**LOOK, "next": "end"}})
    scenario.deliver("order.paid", {}, "o-1")
    in_vain(scenario)
    assert scenario.state.status == "running"


def test_a_workflow_that_has_ended_sends_back_what_it_is_handed() -> None:
    scenario = started({"pay": PAID})
    scenario.cancel()
    in_vain(scenario)


def test_what_is_handed_to_a_workflow_that_is_not_there_goes_back() -> None:
    in_vain(Scenario(define({"pay": PAID})))


def test_an_event_that_is_handed_over_twice_is_taken_once() -> None:
    scenario = started({"pay": {**PAID, "next": "again"}, "again": PAID})
    hand(scenario)
    in_vain(scenario)
    assert list(scenario.state.active) == ["again"]


def test_a_workflow_that_is_paused_takes_what_it_is_handed_and_goes_on_later() -> None:
    scenario = started({"pay": PAID})
    scenario.feed(req.PauseWorkflow(reason="look"))
    hand(scenario)
    assert told(scenario, c.SubscriptionClosed) == [(subscription(), "order.paid", "o-1", "e-1")]
    assert scenario.state.status == "paused"
    scenario.feed(req.ResumeWorkflow(reason="go", extend_ms=0))
    assert scenario.state.outputs["pay"] == {"cents": 5}


def test_after_a_recovery_the_correlator_hears_again_of_what_is_open() -> None:
    scenario = started({"pay": PAID})
    assert scenario.row is not None
    owed = [record for record in scenario.driver.owed(scenario.row) if record.topic is topics.CORRELATIONS]
    assert [decode(record.value).body for record in owed] == [*subscriptions(scenario.state).values()]


def test_a_value_that_no_event_can_have_fails_the_step() -> None:
    scenario = Scenario(define({"pay": PAID}))
    scenario.start({"order": "x" * 2_000})
    assert only(scenario.last, e.WorkflowFailed).error_class == "expression_error"


EARLY: dict[str, Any] = {"find": {**LOOK, "next": "pack"}, "pack": {**LOOK, "next": "pay"}, "pay": PAID}


def early(rule: Json) -> Scenario:
    return started(EARLY, events={"order.paid": rule})


def test_an_event_that_may_not_come_early_is_refused() -> None:
    scenario = early({"keep": False})
    scenario.deliver("order.paid", {}, "o-1")
    refused = only(scenario.last, e.InputRejected)
    assert refused.code == "event_not_allowed"
    assert "while a step waits for it" in refused.message
    assert "find" in refused.message


def test_an_event_that_may_not_come_early_is_taken_by_a_step_that_waits() -> None:
    scenario = early({"keep": False})
    for _ in range(2):
        scenario.tool_result(scenario.take())
    scenario.deliver("order.paid", {}, "o-1")
    assert scenario.state.finished


def test_an_event_may_come_early_only_in_the_steps_that_the_definition_names() -> None:
    scenario = early({"allowed_in": ["pack"]})
    scenario.deliver("order.paid", {}, "o-1")
    assert only(scenario.last, e.InputRejected).code == "event_not_allowed"
    scenario.tool_result(scenario.take())
    scenario.deliver("order.paid", {}, "o-1")
    assert only(scenario.last, e.EventReceived).wait_id == ""


def test_an_event_that_is_waited_for_is_allowed_also_while_the_workflow_is_held() -> None:
    scenario = early({"keep": False})
    for _ in range(2):
        scenario.tool_result(scenario.take())
    scenario.feed(req.PauseWorkflow(reason="look"))
    scenario.deliver("order.paid", {}, "o-1")
    assert only(scenario.last, e.EventReceived).wait_id == ""
    scenario.feed(req.ResumeWorkflow(reason="go", extend_ms=0))
    assert scenario.state.finished


def test_an_early_event_is_given_up_when_its_time_is_over() -> None:
    scenario = early({"ttl": "5m"})
    scenario.deliver("order.paid", {}, "o-1", input_id="ev-1")
    scenario.fire()
    assert scenario.names == ["TimerFired", "EarlyEventExpired"]
    assert scenario.now_ms == START_MS + 300_000
    assert only(scenario.last, e.EarlyEventExpired).source_id == "ev-1"
    for _ in range(2):
        scenario.tool_result(scenario.take())
    assert scenario.state.status == "waiting"


def test_an_early_event_is_given_up_in_time_even_if_its_timer_is_late() -> None:
    scenario = early({"ttl": "5m"})
    scenario.deliver("order.paid", {}, "o-1")
    scenario.now_ms += 300_000
    for _ in range(2):
        scenario.tool_result(scenario.take())
    assert "EarlyEventExpired" in scenario.names
    assert scenario.state.status == "waiting"


def test_an_early_event_that_is_in_time_is_handed_over() -> None:
    scenario = early({"ttl": "5m"})
    scenario.deliver("order.paid", {}, "o-1")
    scenario.now_ms += 299_999
    for _ in range(2):
        scenario.tool_result(scenario.take())
    assert scenario.state.finished


PAGE = (Path(__file__).parents[3] / "docs" / "events.md").read_text(encoding="utf-8")


def test_the_definitions_on_the_page_are_accepted() -> None:
    parts: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        parts |= yaml.safe_load(block)
    sleep = {"kind": "sleep", "for": "1s"}
    steps = {"read": {**sleep, "next": "size"}, "size": {**sleep, "next": "pay"}, **parts["steps"]}
    steps["pay"]["next"] = "decide"
    compiled = define({**steps, "pack": {"kind": "succeed"}}, events=parts["events"])
    assert compiled.events == {"order.paid", "order.cancelled", "shop.closed"}


@pytest.mark.parametrize(
    ("said", "limits", "values"),
    [
        ("At most 64 events, or 256 KiB,", (KEPT_LIMIT, KEPT_LIMIT_BYTES), (64, 262_144)),
        ("a day if not said", DEFAULT_TTL_MS, 24 * 3_600_000),
        ("and for an hour after", REMEMBERED_MS, 3_600_000),
    ],
)
def test_the_limits_on_the_page_are_the_engines(said: str, limits: object, values: object) -> None:
    assert said in PAGE
    assert limits == values
