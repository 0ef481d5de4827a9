"""Waiting for a broker that is away when a process starts.

Without it a process would end at once and be started again every few seconds, which costs seconds of CPU each time, and
its supervisor would give it up before a long outage is over.
"""

import logging

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

log = logging.getLogger(__name__)
BROKER_WAIT_S = 60.0
ANSWER_TIMEOUT_MS = 5_000
LONGEST_PAUSE_S = 2.0


class BrokerAway(Exception):
    """No broker answers, or none of its cluster is at work yet."""


async def wait_for_broker(bootstrap: str, limit_s: float) -> None:
    """Return once the broker at `bootstrap` (host:port) works. Raises BrokerAway if it does not within `limit_s`."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(BrokerAway),
        wait=wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE_S),
        stop=stop_after_delay(limit_s),
        before_sleep=_report,
        reraise=True,
    ):
        with attempt:
            await _ask(bootstrap)


async def _ask(bootstrap: str) -> None:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=ANSWER_TIMEOUT_MS)
    try:
        await client.bootstrap()
        # A broker that has just come back answers before it is a member of its own cluster. A consumer that is started
        # then finds no coordinator to join, and never looks again.
        if not client.cluster.brokers():
            raise BrokerAway(f"the Kafka broker at {bootstrap} is not ready yet")
    except KafkaConnectionError as exc:
        raise BrokerAway(f"no Kafka broker answers at {bootstrap}") from exc
    finally:
        await client.close()


def _report(state: RetryCallState) -> None:
    problem = state.outcome.exception() if state.outcome else None
    log.warning("%s, attempt %d", problem, state.attempt_number)
