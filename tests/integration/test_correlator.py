"""Published events on a real broker, with workers that are killed: each ends one wait, or is kept, or is reported."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from holdfast.schemas.events import EventReceived
from holdfast.streams import audit
from holdfast.streams.core.correlator.entries import Fate, Published
from holdfast.streams.correlator.reading import read_entries
from support.orchestrators import Outside, Worker
from support.scenario import define

NewWorker = Callable[..., Worker]
PAID = {"kind": "wait", "event": "order.paid", "correlation": "${input.order}", "timeout": "20m", "next": "end"}


@pytest.fixture
def worker(broker: Broker, topics: str, tmp_path: Path) -> Iterator[NewWorker]:
    """A function that makes workers on the test's topics; they are killed after the test."""
    made: list[Worker] = []

    def make(name: str = "o1") -> Worker:
        made.append(Worker(tmp_path, broker.bootstrap, topics, name))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.kill()


def waiting(**more: Any) -> Any:
    """A definition that waits for one payment, twice if it is told so."""
    return define({"pay": {**PAID, **more}}).definition


async def start(outside: Outside, orders: dict[str, str]) -> None:
    """A workflow for each id, waiting for its order."""
    await asyncio.gather(
        *(outside.client.start("test", {"order": order}, workflow_id=name) for name, order in orders.items())
    )


async def publish(outside: Outside, events: dict[str, str], **more: Any) -> None:
    """An event for each id, about its order."""
    await asyncio.gather(
        *(
            outside.client.publish_event("order.paid", {"id": name}, correlation=order, event_id=name, **more)
            for name, order in events.items()
        )
    )


def taken(outside: Outside) -> Counter[str]:
    """How many waits each published event has ended."""
    bodies = (message.body for message in outside.events)
    return Counter(body.source_id for body in bodies if isinstance(body, EventReceived) and body.wait_id)


async def fates(bootstrap: str, prefix: str) -> dict[str, Fate]:
    entries = await read_entries(bootstrap, prefix)
    return {key.name: entry.fate for key, entry in entries.items() if isinstance(entry, Published)}


async def assert_agreed(bootstrap: str, prefix: str) -> None:
    """Rows and subscriptions come to say the same, and nothing is doubled."""
    for _ in range(100):
        found = await audit.compare(bootstrap, prefix)
        if found.correlated:
            break
        await asyncio.sleep(0.1)
    assert found.correlated, f"{found.subscriptions_missing} {found.subscriptions_unexpected}"
    assert found.whole, f"{found.rows_differ} {found.events_doubled}"


async def test_workers_that_are_killed_hand_every_event_over_once(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    rng = random.Random(7)
    own = {f"own-{number}": f"o-{number}" for number in range(60)}
    pool = {f"pool-{number}": "any" for number in range(40)}
    events = {f"e-{name}": order for name, order in (own | pool).items()}
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(waiting())
        only = worker()
        steps = [("start", part) for part in parts(own | pool, 5)] + [("publish", part) for part in parts(events, 5)]
        rng.shuffle(steps)
        for kind, part in steps:
            await (start(outside, part) if kind == "start" else publish(outside, part))
            if kind == "publish":
                await publish(outside, dict(rng.sample(sorted(part.items()), 4)))  # upstream repeats itself
            await asyncio.sleep(rng.uniform(0.0, 1.5))
            only.kill()
            only.start()

        def all_ended() -> bool:
            only.restart_if_ended()
            return len(outside.endings) == len(own | pool)

        await outside.until(all_ended, timeout_s=150.0)
        assert taken(outside) == dict.fromkeys(events, 1)
    await assert_agreed(broker.bootstrap, topics)
    assert set((await fates(broker.bootstrap, topics)).values()) == {Fate.DONE}


def parts(whole: dict[str, str], count: int) -> list[dict[str, str]]:
    names = sorted(whole, key=lambda name: hash_of(name))
    return [{name: whole[name] for name in names[number::count]} for number in range(count)]


def hash_of(name: str) -> int:
    return random.Random(name).randrange(1_000_000)


async def test_an_event_that_comes_as_its_wait_gives_up_goes_to_the_next_or_is_kept(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    """Waits end by themselves all the time while events are on their way to them, and the worker is killed."""
    names = [f"w-{number}" for number in range(80)]
    events = {f"e-{number}": "any" for number in range(60)}
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(waiting(timeout="1500ms", catch={"timeout": "end"}))
        only = worker()
        await outside.client.start("test", {"order": "nobody"}, workflow_id="first")
        await outside.until(lambda: outside.endings)
        for number in range(0, 80, 20):
            await start(outside, dict.fromkeys(names[number : number + 20], "any"))
            await publish(outside, dict(list(events.items())[number * 3 // 4 : (number + 20) * 3 // 4]))
            if number == 40:
                only.kill()
                only.start()

        def all_ended() -> bool:
            only.restart_if_ended()
            return len(outside.endings) == len(names) + 1

        await outside.until(all_ended, timeout_s=120.0)
        ended = taken(outside)
    assert set(ended.values()) <= {1}
    await assert_agreed(broker.bootstrap, topics)
    left = await fates(broker.bootstrap, topics)
    assert {name for name, fate in left.items() if fate is Fate.KEPT} == events.keys() - ended.keys()
    assert ended, "no event came in time"


async def test_a_broadcast_reaches_everybody_and_one_for_nobody_is_reported(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    names = [f"w-{number}" for number in range(30)]
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(waiting(correlation=""))
        only = worker()
        await start(outside, dict.fromkeys(names, ""))
        await outside.until(lambda: sum(m.meta.type == "WaitStarted" for m in outside.events) == len(names))
        await assert_agreed(broker.bootstrap, topics)
        await publish(outside, {"all": ""}, broadcast=True)
        only.kill()
        only.start()
        await outside.until(lambda: len(outside.endings) == len(names), timeout_s=90.0)
        assert taken(outside) == {"all": len(names)}
        await publish(outside, {"late": ""}, broadcast=True, ttl_ms=500)
        await outside.until(lambda: outside.expired)
    assert set(outside.expired) == {"late"}
    await assert_agreed(broker.bootstrap, topics)


async def test_events_and_subscriptions_survive_a_takeover_by_another_worker(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    waits = {f"w-{number}": f"o-{number}" for number in range(20)}
    early = {f"e-{number}": f"o-{number}" for number in range(20, 40)}
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(waiting())
        first, second = worker("o1"), worker("o2")
        await start(outside, waits)
        await publish(outside, early)
        await outside.until(lambda: sum(m.meta.type == "WaitStarted" for m in outside.events) == len(waits))
        await assert_agreed(broker.bootstrap, topics)
        first.kill()
        await publish(outside, {f"e-{number}": f"o-{number}" for number in range(20)})
        await start(outside, {f"w-{number}": f"o-{number}" for number in range(20, 40)})

        def all_ended() -> bool:
            second.restart_if_ended()
            return len(outside.endings) == 40

        await outside.until(all_ended, timeout_s=120.0)
        assert taken(outside) == {f"e-{number}": 1 for number in range(40)}
    await assert_agreed(broker.bootstrap, topics)


async def test_a_published_event_that_may_not_be_is_refused(broker: Broker, topics: str, worker: NewWorker) -> None:
    async with Outside(broker.bootstrap, topics) as outside:
        worker()
        await outside.client.publish_event("order.paid", {}, ttl_ms=-1)
        await outside.client.publish_event("order/paid", {})
        await outside.client.publish_event("order.paid", {}, correlation="x" * 2_000)
        await outside.client.publish_event("order.paid", "x" * 70_000)
        await outside.until(lambda: len(outside.rejections) == 4)
    assert sorted(outside.rejections) == [
        "correlation_too_long",
        "event_type_invalid",
        "payload_too_large",
        "ttl_invalid",
    ]
