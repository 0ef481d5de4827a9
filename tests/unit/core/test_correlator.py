"""Published events and the waits that want them: who gets which, and what becomes of the rest."""

import pytest

from holdfast.schemas import results as res
from holdfast.streams.core.correlator.entries import Fate
from holdfast.streams.core.correlator.fold import (
    DEFAULT_TTL_MS,
    KEPT_LIMIT,
    KEPT_LIMIT_BYTES,
    REMEMBERED_MS,
    SUBSCRIPTION_GRACE_MS,
)
from support.exchange import TYPE, Exchange, Killed

A, B, C = "w-a/hear.1/1000", "w-b/hear.1/1000", "w-c/hear.1/1000"


def after(*steps: tuple[str, ...]) -> Exchange:
    """An exchange after these records, each folded in a batch of its own."""
    exchange = Exchange()
    for name, *arguments in steps:
        getattr(exchange, name)(*arguments)
        exchange.run()
    return exchange


def test_an_event_goes_to_the_wait_that_has_waited_longest_and_to_no_other() -> None:
    exchange = after(("open", B), ("open", A), ("publish", "e-1"))
    assert exchange.told() == [("w-b", "e-1")]


def test_each_event_goes_to_a_wait_of_its_own() -> None:
    exchange = after(("open", A), ("open", B), ("publish", "e-1"), ("publish", "e-2"), ("publish", "e-3"))
    assert exchange.told() == [("w-a", "e-1"), ("w-b", "e-2")]
    assert exchange.events()["e-3"].fate is Fate.KEPT


def test_an_event_that_comes_first_is_kept_and_handed_over_once() -> None:
    exchange = after(("publish", "e-1"), ("open", A), ("open", B))
    assert exchange.told() == [("w-a", "e-1")]


def test_events_that_came_first_are_handed_over_in_their_order() -> None:
    exchange = after(("publish", "e-1"), ("publish", "e-2"), ("open", A), ("open", B))
    assert exchange.told() == [("w-a", "e-1"), ("w-b", "e-2")]


@pytest.mark.parametrize(("value", "told"), [("o-1", [("w-a", "e-1")]), ("o-2", []), ("", [])])
def test_only_a_wait_for_the_same_value_is_meant(value: str, told: list[tuple[str, str]]) -> None:
    exchange = Exchange()
    exchange.open(A, "o-1")
    exchange.publish("e-1", value=value)
    exchange.run()
    assert exchange.told() == told


def test_a_handover_says_everything_about_the_event() -> None:
    exchange = Exchange()
    exchange.open(A)
    exchange.publish("e-1", {"cents": 5})
    exchange.run()
    (message,) = exchange.handed
    assert (message.body.payload, message.body.subscription_id, message.body.source_id) == ({"cents": 5}, A, "e-1")
    assert (message.meta.cause_id, message.meta.actor_id, message.meta.workflow_id) == ("e-1", "crm", "w-a")


def test_an_event_that_its_wait_took_is_done() -> None:
    exchange = after(("open", A), ("publish", "e-1"), ("close", A, "e-1"), ("open", B))
    assert exchange.told() == [("w-a", "e-1")]
    assert exchange.waiting() == [B]
    event = exchange.events()["e-1"]
    assert (event.fate, event.told, event.payload) == (Fate.DONE, 1, None)


@pytest.mark.parametrize("source", ["", "something else"])
def test_an_event_that_its_wait_did_not_take_goes_to_the_next_one(source: str) -> None:
    exchange = after(("open", A), ("open", B), ("publish", "e-1"), ("close", A, source))
    assert exchange.told() == [("w-a", "e-1"), ("w-b", "e-1")]


def test_an_event_that_its_wait_did_not_take_is_kept_if_nobody_else_waits() -> None:
    exchange = after(("open", A), ("publish", "e-1"), ("publish", "e-2"), ("close", A, ""))
    assert exchange.told() == [("w-a", "e-1")]
    exchange.open(B)
    exchange.run()
    assert exchange.told() == [("w-b", "e-1")], "what was published first goes first"


def test_a_wait_that_is_over_gets_nothing() -> None:
    exchange = after(("open", A), ("close", A, ""), ("publish", "e-1"))
    assert exchange.told() == []


def test_a_subscription_that_is_opened_again_keeps_its_place() -> None:
    exchange = after(("open", A), ("open", B), ("open", A), ("publish", "e-1"))
    assert exchange.told() == [("w-a", "e-1")]


@pytest.mark.parametrize("before", [[], [("open", A)], [("open", A), ("publish", "e-1"), ("close", A, "e-1")]])
def test_an_event_that_is_published_again_is_dropped_and_counted(before: list[tuple[str, ...]]) -> None:
    exchange = after(*before, ("publish", "e-1"))
    exchange.told()
    repeats = exchange.events()["e-1"].repeats
    exchange.publish("e-1")
    exchange.publish("e-1")
    exchange.open(B)
    exchange.run()
    assert exchange.events()["e-1"].repeats == repeats + 2
    assert len([event for _, event in exchange.told() if event == "e-1"]) <= 1


def test_an_event_is_forgotten_some_time_after_it_was_handed_over() -> None:
    exchange = after(("open", A), ("publish", "e-1"), ("close", A, "e-1"))
    exchange.now_ms += REMEMBERED_MS - 1
    exchange.fire()
    exchange.run()
    assert list(exchange.events()) == ["e-1"]
    exchange.now_ms += 1
    exchange.fire()
    exchange.run()
    assert not exchange.events()
    assert not exchange.table.store.data


def test_everybody_who_waits_is_told_of_a_broadcast() -> None:
    exchange = Exchange()
    for name in (A, B):
        exchange.open(name)
    exchange.publish("e-1", broadcast=True)
    exchange.open(C)
    exchange.run()
    assert exchange.told() == [("w-a", "e-1"), ("w-b", "e-1")]
    assert exchange.events()["e-1"].told == 2


def test_a_broadcast_reaches_also_a_wait_that_another_event_is_on_its_way_to() -> None:
    exchange = after(("open", A), ("publish", "e-1"))
    exchange.publish("e-2", broadcast=True)
    exchange.run()
    exchange.close(A, "e-2")
    exchange.open(B)
    exchange.run()
    assert exchange.told() == [("w-a", "e-1"), ("w-a", "e-2"), ("w-b", "e-1")]


def test_a_broadcast_that_nobody_waits_for_is_kept_and_handed_over_once() -> None:
    exchange = Exchange()
    exchange.publish("e-1", broadcast=True)
    exchange.open(A)
    exchange.open(B)
    exchange.run()
    assert exchange.told() == [("w-a", "e-1")]


@pytest.mark.parametrize(("ttl_ms", "lives_ms"), [(0, DEFAULT_TTL_MS), (5_000, 5_000)])
def test_an_event_that_nobody_waited_for_in_time_is_reported(ttl_ms: int, lives_ms: int) -> None:
    exchange = Exchange()
    exchange.publish("e-1", {"cents": 5}, ttl_ms=ttl_ms)
    exchange.run()
    exchange.now_ms += lives_ms - 1
    exchange.fire()
    exchange.run()
    assert not exchange.reports
    exchange.now_ms += 1
    exchange.fire()
    exchange.run()
    (report,) = exchange.reports
    assert report.body == res.EventExpired(
        event_type=TYPE,
        correlation="o-1",
        source_id="e-1",
        payload={"cents": 5},
        published_at_ms=exchange.now_ms - lives_ms,
        expires_at_ms=exchange.now_ms,
        repeats=0,
    )
    exchange.open(A)
    exchange.run()
    assert exchange.told() == []


def test_an_event_does_not_expire_while_a_wait_may_have_taken_it() -> None:
    exchange = Exchange()
    exchange.open(A)
    exchange.publish("e-1", ttl_ms=5_000)
    exchange.run()
    exchange.now_ms += 60_000
    exchange.fire()
    exchange.run()
    assert not exchange.reports
    exchange.close(A, "")
    exchange.run()
    exchange.fire()
    exchange.run()
    assert [report.meta.type for report in exchange.reports] == ["EventExpired"]


def test_more_events_than_may_be_kept_are_refused() -> None:
    exchange = Exchange()
    for number in range(KEPT_LIMIT + 1):
        exchange.publish(f"e-{number}")
    exchange.run()
    (refused,) = exchange.reports
    assert (refused.body.code, refused.body.request_id) == ("event_buffer_full", f"e-{KEPT_LIMIT}")


def test_more_bytes_than_may_be_kept_are_refused() -> None:
    exchange = Exchange()
    for number in range(5):
        exchange.publish(f"e-{number}", "x" * (KEPT_LIMIT_BYTES // 4 - 100))
    exchange.run()
    assert [report.body.request_id for report in exchange.reports] == ["e-4"]


def test_any_number_of_events_is_taken_while_there_are_waits_for_them() -> None:
    exchange = Exchange()
    for number in range(3 * KEPT_LIMIT):
        exchange.open(f"w-{number}/hear.1/1000")
        exchange.publish(f"e-{number}")
    exchange.run()
    assert not exchange.reports
    assert len(exchange.told()) == 3 * KEPT_LIMIT


def test_a_subscription_that_nobody_closed_is_dropped_some_time_after_its_limit() -> None:
    exchange = Exchange()
    exchange.open(A, expires_in_ms=1_000)
    exchange.run()
    exchange.now_ms += 1_000 + SUBSCRIPTION_GRACE_MS
    exchange.fire()
    exchange.run()
    assert not exchange.table.store.data


def test_a_subscription_with_an_event_in_hand_is_not_dropped_until_it_answers() -> None:
    exchange = Exchange()
    exchange.open(A, expires_in_ms=1_000)
    exchange.publish("e-1")
    exchange.run()
    for _ in range(3):
        exchange.now_ms += 1_000 + SUBSCRIPTION_GRACE_MS
        exchange.fire()
        exchange.run()
    assert exchange.waiting() == [A]
    exchange.close(A, "e-1")
    exchange.run()
    assert exchange.events()["e-1"].told == 1


def eventful() -> Exchange:
    """An exchange with everything in its input that can happen, nothing of it folded yet."""
    exchange = Exchange()
    exchange.publish("e-0", ttl_ms=1_000)
    exchange.publish("other", value="o-2")
    exchange.run()
    exchange.now_ms += 2_000
    exchange.fire()
    exchange.publish("e-9", ttl_ms=1_000)
    exchange.run()
    exchange.now_ms += 1_000
    exchange.fire()
    exchange.publish("e-0")
    exchange.now_ms += REMEMBERED_MS
    exchange.fire()
    for name in (A, B, C):
        exchange.open(name)
    exchange.publish("all", broadcast=True)
    exchange.publish("e-1")
    exchange.publish("e-1")
    exchange.close(A, "all")
    exchange.publish("e-2")
    exchange.close(B, "all")
    exchange.close(C, "e-2")
    exchange.open("w-d/hear.1/1000")
    exchange.publish("all", broadcast=True)
    exchange.publish("e-3", ttl_ms=1_000)
    return exchange


def traces(exchange: Exchange) -> tuple[object, ...]:
    """What is there in the end, and what others were told, each once."""
    handed = {(m.meta.event_id, m.body.source_id, m.body.subscription_id) for m in exchange.handed}
    reports = {(m.meta.event_id, m.meta.type) for m in exchange.reports}
    return dict(exchange.table.store.data), exchange.events(), exchange.waiting(), handed, reports


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_kill_at_any_point_changes_nothing_about_who_gets_what(size: int) -> None:
    undisturbed = eventful()
    undisturbed.patience = 1_000
    undisturbed.run(size)
    sends = 1_000 - (undisturbed.patience or 0)
    for point in range(sends):
        exchange = eventful()
        exchange.patience = point
        with pytest.raises(Killed):
            exchange.run(size)
        exchange.patience = None
        exchange.recover()
        exchange.run(size)
        exchange.fire()
        exchange.run(size)
        assert traces(exchange) == traces(undisturbed), f"killed at {point} of {sends}"
