"""The definitions that are published: what stands on their topic, and what a name stands for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.ops.errors import CommandError
from holdfast.ops.kafka import KAFKA_TIMEOUT_S, consumer_at, partition_count, reaching
from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.definitions import DefinitionPublished
from holdfast.schemas.record import Json, Message
from holdfast.schemas.topics import DEFINITIONS

if TYPE_CHECKING:
    from holdfast.streams.core.compile import CompiledDefinition
    from holdfast.streams.core.startable import Startable


@dataclass(frozen=True, kw_only=True)
class Published:
    """A definition on the topic. `newest` is true for the one that its name stands for."""

    name: str
    hash: str
    body: Json
    published_at_ms: int
    published_by: str
    newest: bool

    @property
    def children(self) -> dict[str, str]:
        """The hashes of the definitions that it starts, by their names."""
        return {name: str(hash_) for name, hash_ in _part(self.body, "children").items()}

    @property
    def startable(self) -> "Startable":
        """What a definition that starts this one has to know of it."""
        from holdfast.streams.core.startable import Startable

        return Startable(hash=self.hash, input=_part(self.body, "input"))


async def read_definitions(bootstrap: str, topic_prefix: str) -> tuple[Published, ...]:
    """Every published definition, by name and then in the order of publishing. Raises CommandError."""
    topic = topic_prefix + DEFINITIONS.name
    try:
        async with consumer_at(bootstrap) as consumer:
            messages = await reaching(bootstrap, _whole_topic(consumer, topic))
    except TimeoutError as exc:
        raise CommandError(
            f"the topic {topic} could not be read within {KAFKA_TIMEOUT_S:.0f} s",
            cure="`holdfast topics check`, `holdfast doctor`",
        ) from exc
    return definitions_of(messages)


def definitions_of(messages: list[Message[DefinitionPublished]]) -> tuple[Published, ...]:
    """The definitions that the records of the topic, in their order, amount to."""
    latest: dict[str, Message[DefinitionPublished]] = {}
    newest: dict[str, str] = {}
    for message in messages:
        latest.pop(message.body.definition_hash, None)  # what is published again is the latest of its name again
        latest[message.body.definition_hash] = message
        newest[message.body.name] = message.body.definition_hash
    found = [
        Published(
            name=message.body.name,
            hash=message.body.definition_hash,
            body=message.body.body,
            published_at_ms=message.meta.occurred_at_ms,
            published_by=message.meta.actor_id,
            newest=newest[message.body.name] == message.body.definition_hash,
        )
        for message in latest.values()
    ]
    return tuple(sorted(found, key=lambda published: published.name))


def startable_of(published: Sequence[Published]) -> "dict[str, Startable]":
    """What steps can start, by name: the newest definition of each."""
    return {other.name: other.startable for other in published if other.newest}


def compiled_by_hash(published: Sequence[Published]) -> "Callable[[str], CompiledDefinition | None]":
    """Looks up what is published as it runs, by its hash; None for what is not there, or cannot run any more."""
    from holdfast.streams.core.compile import CompiledDefinition, InvalidDefinition, compile_published
    from holdfast.streams.core.definition import Definition

    bodies = {other.hash: other.body for other in published}

    @cache
    def compiled(definition_hash: str) -> CompiledDefinition | None:
        if definition_hash not in bodies:
            return None
        try:
            found = compile_published(Definition.model_validate(bodies[definition_hash]))
        except (InvalidDefinition, ValueError):
            return None
        found.hash = definition_hash  # the identity is what was published, whatever newer code has for defaults
        return found

    return compiled


def _part(body: Json, name: str) -> dict[str, Json]:
    part = body.get(name) if isinstance(body, dict) else None
    return part if isinstance(part, dict) else {}


async def _whole_topic(consumer: AIOKafkaConsumer, topic: str) -> list[Message[DefinitionPublished]]:
    await partition_count(consumer, topic)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    found: list[Message[DefinitionPublished]] = []
    while await consumer.position(partition) < end:
        for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, ()):
            try:
                message = decode(record.value)
            except DecodeError:
                continue  # tombstones and strangers; workers report what they cannot use
            if isinstance(message.body, DefinitionPublished):
                found.append(cast("Message[DefinitionPublished]", message))
    return found
