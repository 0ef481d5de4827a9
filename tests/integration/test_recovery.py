"""What is left after a worker was killed, suspended, or lost its rows or its broker: everything."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.topics import admin_client, ensure_topics
from holdfast.schemas import codec, ids
from holdfast.schemas import topics as t
from holdfast.schemas.record import EventMeta
from holdfast.schemas.reports import ReportToolResult
from holdfast.schemas.requests import CancelWorkflow
from holdfast.streams.faustkit.exit import EXIT_CANNOT_GO_ON
from holdfast.streams.reading import all_records
from holdfast.streams.rows import PARTITION_ROW_KEY
from support.orchestrators import (
    GO_ON,
    PARTITIONS,
    SESSION_TIMEOUT_MS,
    STOP,
    NewWorker,
    Outside,
    Worker,
    assert_whole,
    chain,
)
from support.scenario import TENANT


async def start(outside: Outside, first: int, count: int) -> None:
    names = [f"w-{number}" for number in range(first, first + count)]
    await asyncio.gather(*(outside.client.start("test", {}, workflow_id=name, event_id=name) for name in names))


async def test_a_worker_that_is_killed_again_and_again_loses_and_doubles_nothing(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    rng = random.Random(11)
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(chain(10))
        only = worker()
        for kill in range(4):
            await start(outside, kill * 40, 40)
            events = len(outside.events)
            await outside.until(lambda: len(outside.events) > events)  # noqa: B023 - called at once
            await asyncio.sleep(rng.uniform(0.0, 0.6))
            only.kill()
            only.start()

        def all_ended() -> bool:
            only.restart_if_ended()  # a worker that cannot go on exits loudly, and another continues
            return len(outside.endings) == 160

        await outside.until(all_ended, timeout_s=120.0)
    assert set(outside.endings.values()) == {"WorkflowCompleted"}
    await assert_whole(broker.bootstrap, topics, 160)


async def test_a_worker_that_wakes_up_after_another_took_over_writes_nothing_wrong(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(chain(10))
        sleeper, other = worker("o1"), worker("o2")
        await start(outside, 0, 40)
        await outside.until(lambda: len(outside.endings) == 40)
        await start(outside, 40, 40)
        events = len(outside.events)
        await outside.until(lambda: len(outside.events) > events)
        sleeper.signal(STOP)
        await asyncio.sleep(SESSION_TIMEOUT_MS / 1000 + 1)
        await start(outside, 80, 40)
        await outside.until(lambda: len(outside.endings) > 60)
        sleeper.signal(GO_ON)

        def all_ended() -> bool:
            sleeper.restart_if_ended()
            other.restart_if_ended()
            return len(outside.endings) == 120

        await outside.until(all_ended)
    assert set(sleeper.codes + other.codes) <= {EXIT_CANNOT_GO_ON}
    await assert_whole(broker.bootstrap, topics, 120)


async def test_rows_are_made_again_from_the_journal_alone(broker: Broker, topics: str, worker: NewWorker) -> None:
    async with Outside(broker.bootstrap, topics, answering=False) as outside:
        await outside.client.publish(chain(4))
        first = worker()
        await start(outside, 0, 20)
        await outside.until(lambda: len(outside.events) == 20 * 3)
        assert first.stop() == 0
        await lose_rows(broker.bootstrap, topics)
        worker()
        await outside.until(lambda: len(outside.tasks) == 2 * 20)  # what is owed is sent again
        await assert_whole(broker.bootstrap, topics, 20)
        outside.answering = True
        await outside.answer_all()
        await outside.until(lambda: len(outside.endings) == 20)
    await assert_whole(broker.bootstrap, topics, 20)


async def test_rows_that_a_kill_cut_off_from_the_others_of_their_batch_are_made_again(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    """A large batch of rows is several requests: the row of a later event may be there without that of an earlier."""
    async with Outside(broker.bootstrap, topics, answering=False) as outside:
        await outside.client.publish(chain(4))
        first = worker()
        await start(outside, 0, 20)
        await outside.until(lambda: len(outside.events) == 20 * 3)
        assert first.stop() == 0
        await lose_rows(broker.bootstrap, topics, all_but=last_rows)
        worker()
        await outside.until(lambda: len(outside.tasks) > 20)
        await assert_whole(broker.bootstrap, topics, 20)
        outside.answering = True
        await outside.answer_all()
        await outside.until(lambda: len(outside.endings) == 20)
    await assert_whole(broker.bootstrap, topics, 20)


def last_rows(rows: list[Any]) -> list[Any]:
    """The last row of a workflow in each partition, alone."""
    last = {row.partition: row for row in rows if row.key != PARTITION_ROW_KEY}
    assert last
    return list(last.values())


async def lose_rows(bootstrap: str, prefix: str, all_but: Callable[[list[Any]], list[Any]] = lambda _: []) -> None:
    """Delete the changelog, and create it again with nothing but what `all_but` chooses of its records."""
    name = prefix + t.CHANGELOG.name
    kept = all_but([record async for record in all_records(bootstrap, name)])
    async with admin_client(bootstrap) as admin:
        await admin.delete_topics([name])
        while name in await admin.list_topics():  # noqa: ASYNC110 - the broker does not tell
            await asyncio.sleep(0.05)
        await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=t.CHANGELOG.broker_config())])
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for record in kept:
            await producer.send_and_wait(name, record.value, key=record.key, partition=record.partition)


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
    await assert_whole(broker.bootstrap, topics, 208)


async def test_records_thrown_away_by_a_rebalance_before_the_first_commit_come_again(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    """Without a committed offset, Faust does not seek at all: what was fetched and not yet folded was lost."""
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(chain(20))
        worker("o1", commits=False)
        await start(outside, 0, 120)
        await outside.until(lambda: len(outside.events) > 120)
        worker("o2", commits=False)
        await outside.until(lambda: len(outside.endings) == 120)
    await assert_whole(broker.bootstrap, topics, 120)


async def test_a_broker_that_is_away_for_a_while_costs_time_and_nothing_else(
    private_broker: Callable[[], Broker], topic_prefix: str, tmp_path: Path
) -> None:
    own = private_broker()
    await ensure_topics(own.bootstrap, topic_prefix, PARTITIONS)
    only = Worker(tmp_path, own.bootstrap, topic_prefix)
    only.start()
    try:
        async with Outside(own.bootstrap, topic_prefix) as outside:
            await outside.client.publish(chain(30))
            await start(outside, 0, 40)
            await outside.until(lambda: len(outside.events) > 40)
            await asyncio.to_thread(own.stop)
            for _ in range(75):
                await asyncio.sleep(0.2)
                only.restart_if_ended()
            assert len(outside.endings) < 40
            own.start()
            await asyncio.to_thread(own.wait_ready)

            def all_ended() -> bool:
                only.restart_if_ended()
                return len(outside.endings) == 40

            await outside.until(all_ended, timeout_s=90)
        assert set(only.codes) <= {EXIT_CANNOT_GO_ON}
        await assert_whole(own.bootstrap, topic_prefix, 40)
    finally:
        only.kill()


def cancellation(workflow_id: str) -> bytes:
    body = CancelWorkflow(reason="no")
    meta = EventMeta(
        event_id=f"cancel-{workflow_id}",
        type="CancelWorkflow",
        tenant=TENANT,
        workflow_id=workflow_id,
        actor_kind="person",
        actor_id="ann",
        occurred_at_ms=1,
    )
    return codec.encode(body, meta)


UNREADABLE = {
    "not_framed": (b"acme/w-1", b"junk"),
    "unknown_schema": (b"acme/w-1", codec.FRAME.pack(0, 999_999) + b"x"),
    "undecodable": (b"acme/w-1", cancellation("w-1")[:20]),
    "trailing_bytes": (b"acme/w-1", cancellation("w-1") + b"more"),
    "no_value": (b"acme/w-1", None),
    "key_mismatch": (b"acme/w-2", cancellation("w-1")),
}


async def test_records_that_cannot_be_read_become_dead_letters_and_stop_nothing(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(chain(2))
        worker()
        for key, value in UNREADABLE.values():
            for topic in (t.INBOX, t.REQUESTS):
                await outside.send(topic, key, value)
        await start(outside, 0, 4)
        await outside.until(lambda: len(outside.endings) == 4)
    letters = await dead_letters(broker.bootstrap, topics)
    wanted = {(topics + name, code) for name in ("inbox", "requests") for code in UNREADABLE}
    assert {(headers["x-dlq-topic"], headers["x-dlq-error-class"]) for _, _, headers in letters} == wanted
    assert len(letters) == len(wanted)
    assert {(key, value) for key, value, _ in letters} == {(key, value) for key, value in UNREADABLE.values()}


async def dead_letters(bootstrap: str, prefix: str) -> list[tuple[bytes | None, bytes | None, dict[str, str]]]:
    """Key, value and headers of every dead letter."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(prefix + t.DEAD_LETTERS.name, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [(r.key, r.value, {k: v.decode() for k, v in r.headers}) for r in records]
        return found
    finally:
        await consumer.stop()


async def test_a_report_about_a_workflow_that_nobody_knows_is_refused(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    async with Outside(broker.bootstrap, topics) as outside:
        worker()
        report = ReportToolResult(
            effect_key=ids.effect_key(TENANT, "nobody", "s0", 1, 0, 0),
            attempt=1,
            executor_id="x1",
            result=None,
            duration_ms=1,
        )
        await outside.report(report, "nobody", "report-1")
        await outside.until(lambda: outside.rejections)
    assert outside.rejections == ["workflow_not_found"]
    await assert_whole(broker.bootstrap, topics, 0)


async def test_a_worker_ends_if_the_broker_does_not_know_a_topic_of_its(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    """Without it, Faust would assign the rest, or nothing, and the worker would sit there as if all were well."""
    async with admin_client(broker.bootstrap) as admin:
        await admin.delete_topics([topics + t.REQUESTS.name])
    lost = worker()
    assert await asyncio.to_thread(lost.wait) == EXIT_CANNOT_GO_ON
    assert f"the broker does not know {topics}requests" in lost.said()
