"""Clients of Kafka that are let go of while no broker answers."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from holdfast.ops.kafka import closed


@pytest.mark.parametrize("said", [KafkaConnectionError(), TimeoutError(), asyncio.CancelledError()])
async def test_whatever_a_client_says_while_it_is_stopped_ends_nothing(said: BaseException) -> None:
    async def stop() -> None:
        raise said

    await closed(stop())


async def test_whoever_waits_for_a_client_to_stop_can_be_cancelled() -> None:
    waiting = asyncio.create_task(closed(asyncio.sleep(60)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
