"""Published events all the way: the real driver on one side, the real correlator on the other, nothing but them."""

from typing import Any

from holdfast.schemas import events as e
from holdfast.streams.core.correlator.entries import Fate
from support.exchange import TYPE, Exchange
from support.scenario import define
from support.town import Town

PAID = {"kind": "wait", "event": TYPE, "correlation": "${input.order}", "timeout": "10m", "next": "end"}
ONE = define({"pay": {**PAID, "catch": {"timeout": "end"}}})
TWICE = define({"pay": {**PAID, "next": "again"}, "again": PAID})


class Shop:
    """Workflows and a correlator that hear of each other when `settle` is called."""

    def __init__(self, definition: Any) -> None:
        self.town = Town.of(definition)
        self.exchange = Exchange()
        self.definition = definition

    def start(self, *names: str, order: str = "o-1") -> None:
        for name in names:
            self.town.start(self.definition, name, {"order": order})
        self.settle()

    def publish(self, *names: str, broadcast: bool = False) -> None:
        for name in names:
            self.exchange.publish(name, {"id": name}, broadcast=broadcast)

    def settle(self) -> None:
        while True:
            for message in self.town.told:
                self.exchange.append(message.body, event_id=message.meta.event_id, workflow_id=message.meta.workflow_id)
            self.town.told.clear()
            self.exchange.run()
            if not self.exchange.handed:
                return
            for message in self.exchange.handed:
                self.town.repeat(message)
            self.exchange.handed.clear()

    def took(self) -> dict[str, list[str]]:
        """Which published events each workflow has taken."""
        return {
            name: [event.source_id for event in journal if isinstance(event, e.EventReceived)]
            for name, journal in self.town.journals.items()
        }


def test_events_for_one_order_go_to_those_who_wait_for_it_in_their_order() -> None:
    shop = Shop(ONE)
    shop.start("w-1", "w-2")
    shop.publish("e-1", "e-2", "e-3")
    shop.settle()
    assert shop.took() == {"w-1": ["e-1"], "w-2": ["e-2"]}
    assert shop.exchange.events()["e-3"].fate is Fate.KEPT
    shop.start("w-3")
    assert shop.took()["w-3"] == ["e-3"]
    assert not shop.exchange.waiting()


def test_an_event_on_its_way_to_a_wait_that_gives_up_goes_to_the_next_one() -> None:
    shop = Shop(ONE)
    shop.start("w-1", "w-2")
    shop.publish("e-1")
    shop.exchange.run()
    shop.town.fire("w-1")
    shop.settle()
    assert shop.took() == {"w-1": [], "w-2": ["e-1"]}
    assert not shop.exchange.waiting()


def test_an_event_on_its_way_to_a_wait_that_another_event_ends_goes_to_the_next_one() -> None:
    shop = Shop(TWICE)
    shop.start("w-1")
    shop.publish("e-1")
    shop.exchange.run()
    shop.town.deliver("w-1", TYPE, {"id": "direct"}, "o-1")
    shop.settle()
    assert shop.took()["w-1"][1:] == ["e-1"]
    assert shop.town.state("w-1").finished
    assert not shop.exchange.waiting()


def test_one_workflow_that_waits_twice_takes_two_events() -> None:
    shop = Shop(TWICE)
    shop.start("w-1")
    shop.publish("e-1", "e-1", "e-2")
    shop.settle()
    assert shop.took() == {"w-1": ["e-1", "e-2"]}


def test_a_broadcast_ends_every_wait() -> None:
    shop = Shop(ONE)
    shop.start("w-1", "w-2", "w-3")
    shop.publish("e-1", broadcast=True)
    shop.settle()
    assert shop.took() == {"w-1": ["e-1"], "w-2": ["e-1"], "w-3": ["e-1"]}
    assert not shop.exchange.waiting()
