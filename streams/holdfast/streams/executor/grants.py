"""Grants from the fold, for calls that must not be made twice."""

import logging
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer

from holdfast.schemas import codec
from holdfast.schemas.codec import DecodeError
from holdfast.schemas.tasks import GrantTask
from holdfast.streams.executor.attempt import AttemptKey
from holdfast.streams.executor.limits import POLL_MS

_log = logging.getLogger(__name__)


async def follow_grants(consumer: AIOKafkaConsumer, grant: Callable[[AttemptKey, str], None]) -> None:
    """Pass every grant on, until cancelled. Every executor reads all of them; there are as many as `once` calls."""
    while True:
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                try:
                    body = codec.decode(record.value).body
                except DecodeError as exc:
                    _log.error("%s[%d]@%d is no grant: %s", record.topic, record.partition, record.offset, exc)
                    continue
                if isinstance(body, GrantTask):
                    grant((body.effect_key, body.attempt), body.executor_id)
