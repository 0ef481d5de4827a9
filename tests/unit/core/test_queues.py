"""Scopes, limits and shares, case by case; the laws stand in tests/property/test_queue_laws.py."""

import re
import shlex

import pytest
import yaml

from holdfast.streams.core.queues.declared import limits_from_json
from holdfast.streams.core.queues.limit import Limit, Rate, Share
from holdfast.streams.core.queues.peers import SILENCE_MS, Peers
from holdfast.streams.core.queues.schedule import Schedule
from holdfast.streams.core.queues.scope import Place, Scope, ScopeError
from holdfast.streams.core.queues.ticket import Room, Ticket, room_for
from support.scenario import define
from support.tidy import ROOT

PAGE = (ROOT / "docs" / "queues.md").read_text(encoding="utf-8")
MAIL = Place("acme", "tool", "mail", "refund")
SEARCH = Place("acme", "tool", "search", "refund")
OTHERS_MAIL = Place("bcorp", "tool", "mail", "refund")
MODEL = Place("acme", "model", "org/gpt:4", "refund")


@pytest.mark.parametrize(
    ("text", "place", "counted_as"),
    [
        ("tool", MAIL, "tool"),
        ("tool", MODEL, None),
        ("tool:mail", MAIL, "tool:mail"),
        ("tool:mail", SEARCH, None),
        ("tool:*", SEARCH, "tool:search"),
        ("model:org/gpt:4", MODEL, "model:org/gpt:4"),
        ("tenant:acme", MODEL, "tenant:acme"),
        ("tenant:acme", OTHERS_MAIL, None),
        ("tenant:*", OTHERS_MAIL, "tenant:bcorp"),
        ("tenant:*, tool:mail", MAIL, "tool:mail,tenant:acme"),
        ("definition:refund,tool", MAIL, "tool,definition:refund"),
        ("definition:*", Place("acme", "tool", "mail", ""), None),
    ],
)
def test_a_scope_says_which_tasks_it_is_about_and_what_they_are_counted_as(
    text: str, place: Place, counted_as: str | None
) -> None:
    found = Scope.parse(text).of(place)
    assert (None if found is None else str(found)) == counted_as
    assert Scope.parse(str(Scope.parse(text))) == Scope.parse(text)


@pytest.mark.parametrize(
    "text", ["", "mail", "tool:", "tenant", "tenant:", "tool,model", "tenant:a,tenant:b", "tool:a b"]
)
def test_a_text_that_names_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ScopeError):
        Scope.parse(text)


@pytest.mark.parametrize("text", ["", "10", "10/d", "0/s", "-1/s", "1.5/s", "10 / s", "1/ s"])
def test_a_text_that_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        Rate.parse(text)


def test_rates_are_written_as_they_are_read() -> None:
    assert [str(Rate.parse(text)) for text in ("10/s", "1000/min", "5/h")] == ["10/s", "1000/min", "5/h"]


@pytest.mark.parametrize("value", [[], {"tool": 1}, {"tool": {"max_in_flight": "two"}}, {"cloud": {}}])
def test_limits_that_nobody_can_read_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"object|names no tasks"):
        limits_from_json(value)  # type: ignore[arg-type]


class Bench:
    """A schedule, tasks that come at times, and who begins."""

    def __init__(self, controls: dict[str, Limit], share: Share | None = None) -> None:
        self.schedule: Schedule[str] = Schedule(share)
        self.count = 0
        self.control(controls)

    def control(self, controls: dict[str, Limit], now_ms: int = 0) -> None:
        self.schedule.controls({Scope.parse(scope): limit for scope, limit in controls.items()}, now_ms)

    def offer(self, place: Place, name: str = "", units: int = 1, **declared: Limit) -> bool:
        self.count += 1
        limits = tuple((Scope(kind="tool", definition=scope), limit) for scope, limit in declared.items())
        ticket = Ticket(name or self.count, place, name, self.count, units=units, declared=limits)
        return self.schedule.offer(ticket, 0)

    def begun(self, now_ms: int = 0, room: Room = Room.ANY) -> list[object]:
        found = []
        while (ticket := self.schedule.next(now_ms, room)) is not None:
            found.append(ticket.key)
        return found

    def throttled(self, now_ms: int = 0) -> dict[str, tuple[int, str]]:
        reports = self.schedule.reports(now_ms)
        return {f"{r.tenant} {r.task_class}": (r.throttled, r.why) for r in reports if r.waiting}


def test_of_two_limits_that_count_the_same_the_more_exact_one_holds() -> None:
    bench = Bench({"tenant:*": Limit(max_in_flight=1), "tenant:acme": Limit(max_in_flight=2)})
    for _ in range(3):
        bench.offer(MAIL)
        bench.offer(OTHERS_MAIL)
    assert set(bench.begun()) == {1, 2, 3}
    assert bench.throttled() == {
        "acme tool:mail": (1, "max_in_flight of tenant:acme"),
        "bcorp tool:mail": (2, "max_in_flight of tenant:bcorp"),
    }


def test_what_is_paused_waits_and_holds_back_nobody_else() -> None:
    bench = Bench({"tool:mail": Limit(paused=True)})
    bench.offer(MAIL, "mail")
    bench.offer(SEARCH, "search")
    assert bench.begun() == ["search"]
    assert bench.throttled() == {"acme tool:mail": (1, "paused of tool:mail")}
    bench.control({})
    assert bench.begun() == ["mail"]


def test_a_limit_that_is_set_later_counts_what_is_in_flight_by_then() -> None:
    bench = Bench({})
    for name in ("a", "b", "c"):
        bench.offer(MAIL, name)
        bench.begun()
    bench.control({"tool:mail": Limit(max_in_flight=3)})
    bench.offer(MAIL, "d")
    assert bench.begun() == []
    bench.schedule.finished("a")
    assert bench.begun() == ["d"]


def test_a_rate_begins_empty_and_says_when_to_ask_again() -> None:
    bench = Bench({"tool": Limit(requests=Rate.parse("4/s"))})
    for _ in range(6):
        bench.offer(MAIL)
    assert (bench.begun(0), bench.schedule.wake_at_ms) == ([], 250)
    assert bench.begun(249) == []
    assert bench.begun(250) == [1]
    assert bench.begun(10_000) == [2, 3, 4, 5]
    assert bench.schedule.wake_at_ms == 10_250


def test_units_are_taken_as_expected_and_settled_by_what_was_used() -> None:
    bench = Bench({"model": Limit(units=Rate.parse("100/s"))})
    for name, units in (("a", 80), ("b", 80), ("c", 80)):
        bench.offer(MODEL, name, units)
    assert bench.begun(1_000) == ["a"]
    bench.schedule.finished("a", 20)
    assert bench.begun(1_000) == ["b"]  # 100 - 80 + 60
    bench.schedule.finished("b", 130)  # 50 more than expected: a debt of 50
    assert bench.begun(2_000) == []
    assert bench.begun(2_300) == ["c"]


def test_what_is_dearer_than_a_full_bucket_begins_with_a_full_one() -> None:
    bench = Bench({"model": Limit(units=Rate.parse("100/s"))})
    bench.offer(MODEL, "dear", 250)
    bench.offer(MODEL, "cheap", 1)
    assert bench.begun(999) == []
    assert bench.begun(1_000) == ["dear"]
    assert bench.begun(2_500) == []
    assert bench.begun(2_510) == ["cheap"]


def test_limits_that_a_definition_declares_are_its_own() -> None:
    bench = Bench({})
    for name in ("a", "b"):
        bench.offer(MAIL, name, refund=Limit(max_in_flight=1))
    bench.offer(MAIL._replace(definition="other"), "c")
    assert sorted(map(str, bench.begun())) == ["a", "c"]
    assert bench.throttled() == {"acme tool:mail": (1, "max_in_flight of declared tool,definition:refund")}


@pytest.mark.parametrize(
    ("running", "room"), [(3, Room.ANY), (4, Room.NEW_CLASS), (5, Room.NEW_TENANT), (6, Room.NONE)]
)
def test_spare_slots_are_for_who_has_nothing_in_flight(running: int, room: Room) -> None:
    assert room_for(running, slots=4, spare=2) is room
    bench = Bench({})
    bench.offer(MAIL, "first")
    bench.begun()
    for place, name in ((MAIL, "same class"), (SEARCH, "other class"), (OTHERS_MAIL, "other tenant")):
        bench.offer(place, name)
    expected = {
        Room.ANY: {"same class", "other class", "other tenant"},
        Room.NEW_CLASS: {"other class", "other tenant"},
        Room.NEW_TENANT: {"other tenant"},
        Room.NONE: set(),
    }
    assert set(bench.begun(room=room)) == expected[room]


def test_who_has_no_part_of_a_limit_does_not_take_its_tasks() -> None:
    last = Share(partitions=4, owned=frozenset({3}), settled=frozenset({3}))
    bench = Bench({"tool:mail": Limit(max_in_flight=3)}, last)
    assert not bench.offer(MAIL)
    assert bench.offer(SEARCH)
    bench.schedule.share(Share(partitions=4, owned=frozenset({0, 3}), settled=frozenset({0, 3})), 0)
    assert bench.offer(MAIL, "mail")
    bench.schedule.share(last, 0)
    assert [ticket.key for ticket in bench.schedule.withdraw_all(lambda ticket: ticket.stranger)] == ["mail"]


def test_what_others_have_in_flight_beyond_their_part_is_not_used_here() -> None:
    bench = Bench({"tool:mail": Limit(max_in_flight=4)}, Share(2, frozenset({0}), frozenset({0})))
    bench.schedule.elsewhere({"tool:mail": 3}, 0)
    for name in ("a", "b"):
        bench.offer(MAIL, name)
    assert bench.begun() == ["a"]
    bench.schedule.elsewhere({"tool:mail": 2}, 0)
    assert bench.begun() == ["b"]


def test_partitions_are_settled_once_all_others_have_spoken_in_the_same_generation() -> None:
    peers = Peers("me")
    peers.heard("other", 1, {"tool": 2}, stopped=False, now_ms=0)
    peers.assigned({0, 1}, 4, 2, 10)
    peers.heard("me", 2, {}, stopped=False, now_ms=15)
    assert peers.share(20) == Share(4, frozenset({0, 1}), frozenset())
    peers.heard("other", 1, {"tool": 1}, stopped=False, now_ms=30)
    assert peers.share(40).settled == frozenset()
    peers.heard("other", 2, {"tool": 1}, stopped=False, now_ms=50)
    assert peers.share(60).settled == frozenset({0, 1})
    assert peers.elsewhere(60) == {"tool": 1}
    peers.assigned({1, 2}, 4, 3, 70)
    peers.heard("other", 3, {}, stopped=False, now_ms=75)
    assert peers.share(80).settled == frozenset({1})  # what it keeps stays settled
    peers.heard("me", 3, {}, stopped=False, now_ms=90)
    assert peers.share(90).settled == frozenset({1, 2})


def test_who_is_silent_for_a_lease_or_has_said_goodbye_is_not_waited_for() -> None:
    for told, when in (((False, 100), SILENCE_MS + 100), ((True, 200), 200)):
        peers = Peers("me")
        peers.heard("other", 7, {"tool": 2}, stopped=False, now_ms=100)
        peers.assigned({0}, 1, 7, 150)
        peers.heard("me", 7, {}, stopped=False, now_ms=160)
        assert peers.share(199).settled == frozenset()  # the same generation, but nothing since
        stopped, at_ms = told
        if stopped:
            peers.heard("other", 7, {}, stopped=True, now_ms=at_ms)
        assert peers.share(when).settled == frozenset({0})
        assert peers.elsewhere(when) == {}


def test_nothing_is_settled_before_an_executor_has_heard_itself_or_if_it_missed_a_generation() -> None:
    peers = Peers("me")
    peers.assigned({0}, 1, 1, 0)
    assert peers.share(1).settled == frozenset()
    peers.heard("me", 1, {}, stopped=False, now_ms=2)
    assert peers.share(3).settled == frozenset({0})
    peers.heard("other", 2, {}, stopped=False, now_ms=4)
    peers.assigned({0}, 1, 3, 5)  # the other one had it in between
    peers.heard("me", 3, {}, stopped=False, now_ms=6)
    assert peers.share(7).settled == frozenset()


def test_the_page_says_what_definitions_and_operators_can_say() -> None:
    (declared,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    steps = {"go": {"kind": "tool", "tool": "look", "next": "end"}}
    definition = define(steps, **yaml.safe_load(declared)).definition
    assert (definition.priority, definition.limits["model"].units) == (3, "100000/min")
    (said,) = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    commands = [shlex.split(line)[2:] for line in said.splitlines()]
    assert {str(Scope.parse(command[1])) for command in commands if command} == {
        *("tool:send_email", "tool:*,tenant:*", "tenant:acme", "tenant:bigco")
    }
