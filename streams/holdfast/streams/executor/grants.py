"""Word from the fold about single attempts: claims that won, claims that were refused, attempts to give up."""

import logging
from typing import Protocol

from aiokafka import AIOKafkaConsumer

from holdfast.schemas import codec
from holdfast.schemas.codec import DecodeError
from holdfast.schemas.record import Message, Record
from holdfast.schemas.tasks import WITHDRAWN, GrantTask, StopTask
from holdfast.streams.executor.attempt import AttemptKey
from holdfast.streams.executor.limits import POLL_MS

_log = logging.getLogger(__name__)


class Hears(Protocol):
    """Who is told."""

    def grant(self, key: AttemptKey, executor_id: str) -> None:
        """An attempt was granted to an executor."""

    def refuse(self, key: AttemptKey, claim_id: str) -> None:
        """A claim of an attempt was refused."""

    def withdraw(self, key: AttemptKey) -> None:
        """Nobody waits for an attempt any more, and nobody ever will."""


async def follow_grants(consumer: AIOKafkaConsumer, hears: Hears) -> None:
    """Pass every word on, until cancelled. Every executor reads all of them; there are few."""
    while True:
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                try:
                    _tell(hears, codec.decode(record.value))
                except DecodeError as exc:
                    _log.error("%s[%d]@%d is no grant: %s", record.topic, record.partition, record.offset, exc)


def _tell(hears: Hears, message: Message[Record]) -> None:
    body = message.body
    if isinstance(body, GrantTask):
        hears.grant((body.effect_key, body.attempt), body.executor_id)
    elif isinstance(body, StopTask) and body.reason == WITHDRAWN:
        hears.withdraw((body.effect_key, body.attempt))
    elif isinstance(body, StopTask):
        hears.refuse((body.effect_key, body.attempt), message.meta.cause_id)
