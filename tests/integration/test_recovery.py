"""What is left after a worker was killed, suspended, or lost its rows or its broker: everything."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from holdfast.streams import audit
from support.orchestrators import Outside, Worker, chain

NewWorker = Callable[..., Worker]


@pytest.fixture
def worker(broker: Broker, topics: str, tmp_path: Path) -> Iterator[NewWorker]:
    """A function that makes workers on the test's topics; they are killed after the test."""
    made: list[Worker] = []

    def make(name: str = "o1", *, bootstrap: str = broker.bootstrap, **options: Any) -> Worker:
        made.append(Worker(tmp_path, bootstrap, topics, name, **options))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.kill()


async def start(outside: Outside, first: int, count: int, definition: str = "test") -> list[str]:
    names = [f"w-{number}" for number in range(first, first + count)]
    await asyncio.gather(*(outside.client.start(definition, {}, workflow_id=name, event_id=name) for name in names))
    return names


async def test_records_that_come_while_a_worker_seeks_are_folded(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    """Faust seeks, then clears its queues, then goes on: nothing may have been fetched in between."""
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(chain(20))
        first = worker()
        await start(outside, 0, 8)
        await outside.until(lambda: len(outside.endings) == 8)
        first.kill()
        await start(outside, 8, 200)
        worker(pause_after_seek_s=1.0)
        await outside.until(lambda: len(outside.endings) == 208)
    found = await audit.compare(broker.bootstrap, topics)
    assert found.whole
