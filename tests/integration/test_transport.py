"""What Faust's Kafka client does differently here, on a real broker."""

from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from holdfast.ops.embedded.broker import Broker
from holdfast.streams.faustkit.transport import PART_WAIT_MS, fetch_parts_promptly
from support.executors import eventually

WHOLE_WAIT_MS = 1_500
PARTITIONS = 4


def watched(fetcher: Any) -> list[tuple[int, int]]:
    """The fetches that are sent from now on: how many partitions each is for, and how long it may wait in ms."""
    sent: list[tuple[int, int]] = []
    proceed = fetcher._proc_fetch_request

    async def noting(assignment: Any, node_id: int, request: Any) -> Any:
        sent.append((sum(len(partitions) for _, partitions in request.topics), request._max_wait_ms))
        return await proceed(assignment, node_id, request)

    fetcher._proc_fetch_request = noting
    return sent


@pytest.mark.parametrize(("prompt", "wait_ms"), [(True, PART_WAIT_MS), (False, WHOLE_WAIT_MS)], ids=["ours", "stock"])
async def test_a_fetch_that_leaves_busy_partitions_out_does_not_wait(
    broker: Broker, topics: str, prompt: bool, wait_ms: int
) -> None:
    """With the stock client, what comes for a busy partition waits with the fetch that leaves it out."""
    places = [TopicPartition(f"{topics}inbox", number) for number in range(PARTITIONS)]
    async with (
        AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer,
        AIOKafkaConsumer(
            bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=WHOLE_WAIT_MS
        ) as consumer,
    ):
        sent = watched(consumer._fetcher)
        if prompt:
            fetch_parts_promptly(consumer._fetcher)
        consumer.assign(places)
        await producer.send_and_wait(places[0].topic, b"1", partition=0)
        await eventually(lambda: sent and sent[-1][0] == PARTITIONS - 1)  # fetched, and not taken for a while
        assert sent[-1] == (PARTITIONS - 1, wait_ms)

        assert await consumer.getmany(timeout_ms=0)
        await eventually(lambda: sent[-1] == (PARTITIONS, WHOLE_WAIT_MS))
