"""What executors hear beside their tasks: word about single attempts, limits of operators, other executors' queues.

All of it comes over one consumer without a group. Every executor reads everything; there is little of it.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.schemas import codec
from holdfast.schemas.codec import DecodeError
from holdfast.schemas.controls import LimitRemoved, LimitSet, QueuesReported
from holdfast.schemas.record import Message, Record
from holdfast.schemas.tasks import WITHDRAWN, GrantTask, StopTask
from holdfast.streams.core.queues.limit import Limit, Rate
from holdfast.streams.core.queues.scope import Scope
from holdfast.streams.executor.attempt import AttemptKey
from holdfast.streams.executor.limits import POLL_MS

_log = logging.getLogger(__name__)
Hearer = Callable[[Message[Any]], None]


class Hears(Protocol):
    """Who is told about attempts."""

    def grant(self, key: AttemptKey, executor_id: str) -> None:
        """An attempt was granted to an executor."""

    def refuse(self, key: AttemptKey, claim_id: str) -> None:
        """A claim of an attempt was refused."""

    def withdraw(self, key: AttemptKey) -> None:
        """Nobody waits for an attempt any more, and nobody ever will."""


class News:
    """Hands every record of a consumer to its hearer by type."""

    def __init__(self, consumer: AIOKafkaConsumer, hearers: Mapping[type[Record], Hearer]) -> None:
        self._consumer = consumer
        self._hearers = hearers

    async def catch_up(self, ends: Mapping[TopicPartition, int]) -> None:
        """Read to these ends."""
        while any([await self._consumer.position(partition) < end for partition, end in ends.items()]):
            await self._read()

    async def follow(self) -> None:
        """Read on until cancelled."""
        while True:
            await self._read()

    async def _read(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                try:
                    message = codec.decode(record.value)
                except DecodeError as exc:
                    _log.error("%s[%d]@%d is no news: %s", record.topic, record.partition, record.offset, exc)
                else:
                    hear = self._hearers.get(type(message.body))
                    if hear is not None:
                        hear(message)


def about_attempts(hears: Hears) -> dict[type[Record], Hearer]:
    """Claims that won, claims that were refused, attempts to give up."""

    def granted(message: Message[GrantTask]) -> None:
        hears.grant((message.body.effect_key, message.body.attempt), message.body.executor_id)

    def stopped(message: Message[StopTask]) -> None:
        key = message.body.effect_key, message.body.attempt
        if message.body.reason == WITHDRAWN:
            hears.withdraw(key)
        else:
            hears.refuse(key, message.meta.cause_id)

    return {GrantTask: granted, StopTask: stopped}


def about_limits(tell: Callable[[Mapping[Scope, Limit]], None]) -> dict[type[Record], Hearer]:
    """The limits of operators: `tell` gets all that are in force whenever one changes."""
    in_force: dict[Scope, Limit] = {}

    def was_set(message: Message[LimitSet]) -> None:
        try:
            in_force[Scope.parse(message.body.scope)] = limit_of(message.body)
        except ValueError as exc:
            _log.error("the limit of %s is passed over: %s", message.body.scope, exc)
        else:
            tell(in_force)

    def was_removed(message: Message[LimitRemoved]) -> None:
        if in_force.pop(Scope.parse(message.body.scope), None) is not None:
            tell(in_force)

    return {LimitSet: was_set, LimitRemoved: was_removed}


def about_others(tell: Callable[[QueuesReported], None], task_class: str) -> dict[type[Record], Hearer]:
    """What executors of the same class have in flight, this one included."""

    def reported(message: Message[QueuesReported]) -> None:
        if message.body.task_class == task_class:
            tell(message.body)

    return {QueuesReported: reported}


def limit_of(body: LimitSet) -> Limit:
    """The limit that a record sets. Raises ValueError."""
    return Limit(
        max_in_flight=body.max_in_flight,
        requests=Rate.parse(body.requests) if body.requests else None,
        units=Rate.parse(body.units) if body.units else None,
        weight=max(body.weight, 1),
        paused=body.paused,
    )
