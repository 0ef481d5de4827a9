"""What waits and runs in the queues of executors, as they last said, and the limits that operators have set."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.ops.errors import CommandError
from holdfast.ops.kafka import KAFKA_TIMEOUT_S, consumer_at, partition_count, reaching
from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.controls import LimitRemoved, LimitSet, QueuesReported
from holdfast.schemas.record import Message, Record
from holdfast.schemas.topics import CONTROLS, QUEUES

SILENCE_MS = 30_000
"""Who has said nothing for so long is not counted: every executor speaks at least every ten seconds."""
HISTORY_MS = 120_000


@dataclass(frozen=True, kw_only=True)
class Queues:
    """Queues of all executors together, executors one by one, and limits by scope; each as JSON objects."""

    queues: list[dict[str, Any]]
    executors: list[dict[str, Any]]
    limits: list[dict[str, Any]]


async def read_queues(bootstrap: str, topic_prefix: str) -> Queues:
    """How the queues stand, some seconds ago at most. Raises CommandError."""
    now_ms = int(time.time() * 1000)
    try:
        async with consumer_at(bootstrap) as consumer:
            since_ms = {topic_prefix + QUEUES.name: now_ms - HISTORY_MS, topic_prefix + CONTROLS.name: 0}
            records = await reaching(bootstrap, _records_since(consumer, since_ms))
    except TimeoutError as exc:
        raise CommandError(
            f"the queues could not be read within {KAFKA_TIMEOUT_S:.0f} s", cure="`holdfast topics check`"
        ) from exc
    latest = latest_reports(records, now_ms)
    return Queues(
        queues=queues_of(latest, now_ms),
        executors=[executor_of(message, now_ms) for message in latest],
        limits=limits_of(records),
    )


def latest_reports(messages: Iterable[Message[Record]], now_ms: int) -> list[Message[QueuesReported]]:
    """The newest report of each executor that is at work."""
    latest: dict[str, Message[QueuesReported]] = {}
    for message in messages:
        if isinstance(message.body, QueuesReported):
            latest[message.body.executor_id] = cast("Message[QueuesReported]", message)
    return [
        message
        for _, message in sorted(latest.items())
        if not message.body.stopped and now_ms - message.meta.occurred_at_ms < SILENCE_MS
    ]


def queues_of(reports: Iterable[Message[QueuesReported]], now_ms: int) -> list[dict[str, Any]]:
    """One row per tenant and class, the fullest first."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for message in reports:
        for queue in cast("list[dict[str, Any]]", message.body.queues):
            key = queue["tenant"], queue["task_class"]
            row = rows.setdefault(
                key,
                {
                    "tenant": key[0],
                    "task_class": key[1],
                    "depth": 0,
                    "oldest_age_ms": 0,
                    "in_flight": 0,
                    "throttled": 0,
                    "why": "",
                },
            )
            for name, of in (("depth", "waiting"), ("in_flight", "in_flight"), ("throttled", "throttled")):
                row[name] += queue[of]
            if queue["oldest_at_ms"]:
                row["oldest_age_ms"] = max(row["oldest_age_ms"], now_ms - queue["oldest_at_ms"])
            row["why"] = ", ".join(sorted({*filter(None, row["why"].split(", ")), *filter(None, [queue["why"]])}))
    return sorted(rows.values(), key=lambda row: (-row["depth"], row["tenant"], row["task_class"]))


def executor_of(message: Message[QueuesReported], now_ms: int) -> dict[str, Any]:
    """What one executor says of itself."""
    body = message.body
    return {
        "executor_id": body.executor_id,
        "task_class": body.task_class,
        "slots": body.slots,
        "running": body.running,
        "unread": body.unread,
        "reported_age_ms": max(now_ms - message.meta.occurred_at_ms, 0),
    }


def limits_of(messages: Iterable[Message[Record]]) -> list[dict[str, Any]]:
    """The limits in force, by scope: what they are, who set them, when and why."""
    found: dict[str, dict[str, Any]] = {}
    for message in messages:
        if isinstance(message.body, LimitSet):
            found[message.body.scope] = {
                **{name: getattr(message.body, name) for name in message.body.__dataclass_fields__},
                "set_by": message.meta.actor_id,
                "set_at_ms": message.meta.occurred_at_ms,
            }
        elif isinstance(message.body, LimitRemoved):
            found.pop(message.body.scope, None)
    return [found[scope] for scope in sorted(found)]


def in_words(limit: Mapping[str, Any]) -> str:
    """A limit as people say it."""
    parts = [
        "paused" if limit["paused"] else "",
        f"{limit['max_in_flight']} at a time" if limit["max_in_flight"] else "",
        f"{limit['requests']} requests" if limit["requests"] else "",
        f"{limit['units']} units" if limit["units"] else "",
        f"weight {limit['weight']}" if limit["weight"] != 1 else "",
    ]
    return ", ".join(part for part in parts if part)


async def _records_since(consumer: AIOKafkaConsumer, since_ms: Mapping[str, int]) -> list[Message[Record]]:
    """The records of topics with one partition from times on to their present ends, in order within each topic."""
    for topic in since_ms:
        await partition_count(consumer, topic)
    times = {TopicPartition(topic, 0): at_ms for topic, at_ms in since_ms.items()}
    # All that is asked is asked before the first fetch: the broker would answer only after that has waited.
    begins = {tp: found.offset for tp, found in (await consumer.offsets_for_times(times)).items() if found}
    ends = await consumer.end_offsets(list(begins)) if begins else {}
    consumer.assign(list(begins))
    for partition, offset in begins.items():
        consumer.seek(partition, offset)
    found = []
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                try:
                    found.append(decode(record.value))
                except DecodeError:
                    continue  # a newer version may have written it
    return found
