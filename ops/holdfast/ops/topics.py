"""The topics of `holdfast.schemas.topics` on a broker: compare, create, correct."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from holdfast.ops.errors import CommandError
from holdfast.schemas.topics import TOPICS, Topic

REQUEST_TIMEOUT_MS = 15_000
VISIBLE_TIMEOUT_S = 15.0
POLL_S = 0.05
# DescribeConfigs tells where a value comes from; 1 is "set on this topic".
SET_ON_TOPIC = 1


class Status(StrEnum):
    """How a topic compares with what it should be."""

    OK = "ok"
    MISSING = "missing"
    CONFIG_DIFFERS = "config differs"
    PARTITIONS_DIFFER = "partitions differ"


@dataclass(frozen=True, kw_only=True)
class TopicState:
    """One topic as it is, beside what it should be.

    `name` includes the prefix; `partitions` is 0 if the topic is missing; `differs` has, for each configuration key
    that is wrong, what it is and what it should be; `own` is all configuration set on the topic itself.
    """

    topic: Topic
    name: str
    partitions: int
    wanted_partitions: int
    differs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """The worst thing there is to say."""
        if self.partitions == 0:
            return Status.MISSING
        if self.partitions != self.wanted_partitions:
            return Status.PARTITIONS_DIFFER
        return Status.CONFIG_DIFFERS if self.differs else Status.OK


@asynccontextmanager
async def admin_client(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client. Raises CommandError if no broker answers."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        try:
            await client.start()
        except KafkaError as exc:
            raise CommandError(
                f"no Kafka broker answers at {bootstrap} ({exc})", cure="`holdfast up`, or set HOLDFAST_BOOTSTRAP"
            ) from exc
        yield client
    finally:
        await client.close()


async def check_topics(bootstrap: str, prefix: str, partitions: int) -> tuple[TopicState, ...]:
    """Every topic compared with what it should be, changing nothing. Raises CommandError if no broker answers."""
    async with admin_client(bootstrap) as admin:
        return await _compare(admin, prefix, partitions)


async def ensure_topics(bootstrap: str, prefix: str, partitions: int, replication: int = 1) -> tuple[TopicState, ...]:
    """Create the topics that are missing and correct configuration that differs; returns how they were *before*.

    Doing it twice changes nothing. Raises CommandError if no broker answers, if the broker refuses, or if a topic
    has another number of partitions: keys would move, so nobody but its owner may decide that.
    """
    async with admin_client(bootstrap) as admin:
        before = await _compare(admin, prefix, partitions)
        refuse_other_partition_counts(before)
        if missing := [state for state in before if state.status is Status.MISSING]:
            await _create(admin, missing, replication)
        for state in before:
            if state.status is Status.CONFIG_DIFFERS:
                await _alter(admin, state)
        if any(state.status is not Status.OK for state in before):
            await _wait_until_right(admin, prefix, partitions)
    return before


def refuse_other_partition_counts(states: Sequence[TopicState]) -> None:
    """Raises CommandError if a topic exists with a number of partitions that is not the wanted one."""
    wrong = [state for state in states if state.status is Status.PARTITIONS_DIFFER]
    if not wrong:
        return
    said = ", ".join(f"{s.name} has {s.partitions} partitions instead of {s.wanted_partitions}" for s in wrong)
    raise CommandError(
        said,
        cure=f"set HOLDFAST_PARTITIONS={wrong[0].partitions} if the topics are right; otherwise take another "
        "HOLDFAST_TOPIC_PREFIX (a topic's partitions are never changed in place: its keys would move)",
    )


def require_topics(states: Sequence[TopicState]) -> None:
    """Raises CommandError if a role must not start on these topics: one is missing or has other partitions."""
    refuse_other_partition_counts(states)
    if missing := [state.name for state in states if state.status is Status.MISSING]:
        raise CommandError(f"topics are missing: {', '.join(missing)}", cure="`holdfast topics apply`")


async def _compare(admin: AIOKafkaAdminClient, prefix: str, partitions: int) -> tuple[TopicState, ...]:
    names = [prefix + topic.name for topic in TOPICS]
    counts = await _partition_counts(admin, names)
    existing = [name for name in names if name in counts]
    configs = await _topic_configs(admin, existing) if existing else {}
    return tuple(_state(topic, prefix + topic.name, counts, configs, topic.partitions(partitions)) for topic in TOPICS)


def _state(
    topic: Topic,
    name: str,
    counts: Mapping[str, int],
    configs: Mapping[str, Mapping[str, tuple[str, bool]]],
    wanted_partitions: int,
) -> TopicState:
    found = configs.get(name, {})
    values = {key: value for key, (value, _own) in found.items()}
    wanted = topic.broker_config() if name in counts else {}
    return TopicState(
        topic=topic,
        name=name,
        partitions=counts.get(name, 0),
        wanted_partitions=wanted_partitions,
        differs={key: (values.get(key, ""), value) for key, value in wanted.items() if values.get(key) != value},
        own={key: value for key, (value, own) in found.items() if own},
    )


async def _partition_counts(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    # Describing a missing topic by name would ask the broker to create it, were auto-creation on.
    present = set(await admin.list_topics()) & set(names)
    if not present:
        return {}
    described = await admin.describe_topics(sorted(present))
    return {entry["topic"]: len(entry["partitions"]) for entry in described}


async def _topic_configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, tuple[str, bool]]]:
    """Of each topic, each configuration key's value and whether it is set on the topic itself."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for response in await admin.describe_configs(resources):
        for code, message, _type, name, entries in response.resources:
            _raise_for(code, message, f"reading the configuration of {name}")
            found[name] = {key: (value, source == SET_ON_TOPIC) for key, value, _ro, source, *_ in entries}
    return found


async def _create(admin: AIOKafkaAdminClient, states: Sequence[TopicState], replication: int) -> None:
    new = [
        NewTopic(state.name, state.wanted_partitions, replication, topic_configs=state.topic.broker_config())
        for state in states
    ]
    response = await admin.create_topics(new, timeout_ms=REQUEST_TIMEOUT_MS)
    for name, code, message in response.topic_errors:
        # Another process may have been faster; whether it made the same topic is compared afterwards.
        if code != TopicAlreadyExistsError.errno:
            _raise_for(code, message, f"creating {name}")


async def _alter(admin: AIOKafkaAdminClient, state: TopicState) -> None:
    # This request replaces all configuration of the topic: what others have set there is sent along.
    configs = dict(state.own) | state.topic.broker_config()
    resource = ConfigResource(ConfigResourceType.TOPIC, state.name, configs=configs)
    for response in await admin.alter_configs([resource]):
        for code, message, *_ in response.resources:
            _raise_for(code, message, f"configuring {state.name}")


async def _wait_until_right(admin: AIOKafkaAdminClient, prefix: str, partitions: int) -> None:
    """Return when what was asked for can be seen: brokers answer before they have all learnt of it."""
    give_up_at = time.monotonic() + VISIBLE_TIMEOUT_S
    while time.monotonic() < give_up_at:
        states = await _compare(admin, prefix, partitions)
        refuse_other_partition_counts(states)
        if all(state.status is Status.OK for state in states) and await _are_led(admin, states):
            return
        await asyncio.sleep(POLL_S)
    raise CommandError(f"topics are not as asked for after {VISIBLE_TIMEOUT_S:.0f} s", cure="`holdfast topics check`")


async def _are_led(admin: AIOKafkaAdminClient, states: Sequence[TopicState]) -> bool:
    described = await admin.describe_topics([state.name for state in states])
    return all(partition["leader"] >= 0 for topic in described for partition in topic["partitions"])


def _raise_for(code: int, message: Any, doing: str) -> None:
    if code:
        error = for_code(code)
        raise CommandError(f"{doing}: {error.__name__}: {message or error.description}")
