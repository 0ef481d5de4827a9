"""The topics on a real broker: made once, compared, corrected, never repartitioned."""

import asyncio

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.errors import CommandError
from holdfast.ops.topics import Status, TopicState, admin_client, check_topics, ensure_topics, require_topics
from holdfast.schemas.topics import INBOX, JOURNAL, STATUS, TOPICS


async def eventually_wrong(
    bootstrap: str, prefix: str, partitions: int, status: Status = Status.CONFIG_DIFFERS
) -> list[TopicState]:
    """The topics with a status, as soon as there are any: a broker shows what it did a moment later."""
    for _ in range(500):
        if found := [state for state in await check_topics(bootstrap, prefix, partitions) if state.status is status]:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"no topic was ever: {status}")


async def test_applying_makes_every_topic_as_it_is_declared(broker: Broker, topic_prefix: str) -> None:
    before = await ensure_topics(broker.bootstrap, topic_prefix, 3)
    assert {state.status for state in before} == {Status.MISSING}

    after = await check_topics(broker.bootstrap, topic_prefix, 3)

    assert [state.name for state in after] == [topic_prefix + topic.name for topic in TOPICS]
    assert {state.status for state in after} == {Status.OK}
    by_name = {state.topic.name: state for state in after}
    assert by_name["journal"].partitions == 3
    assert by_name["definitions"].partitions == 1
    assert by_name["inbox"].own["message.timestamp.type"] == "LogAppendTime"
    assert by_name["status"].own["cleanup.policy"] == "compact"
    assert by_name["journal"].own["retention.ms"] == "-1"


async def test_applying_twice_changes_nothing(broker: Broker, topic_prefix: str) -> None:
    await ensure_topics(broker.bootstrap, topic_prefix, 2)
    again = await ensure_topics(broker.bootstrap, topic_prefix, 2)
    assert {state.status for state in again} == {Status.OK}


async def test_several_processes_may_apply_at_once(broker: Broker, topic_prefix: str) -> None:
    await asyncio.gather(*[ensure_topics(broker.bootstrap, topic_prefix, 2) for _ in range(3)])
    require_topics(await check_topics(broker.bootstrap, topic_prefix, 2))


async def test_configuration_that_differs_is_corrected_and_other_configuration_is_kept(
    broker: Broker, topic_prefix: str
) -> None:
    await ensure_topics(broker.bootstrap, topic_prefix, 1)
    name = topic_prefix + INBOX.name
    spoiled = {"message.timestamp.type": "CreateTime", "cleanup.policy": "delete", "max.message.bytes": "2000000"}
    async with admin_client(broker.bootstrap) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=spoiled)])

    (found,) = await eventually_wrong(broker.bootstrap, topic_prefix, 1)
    assert found.name == name
    assert found.status is Status.CONFIG_DIFFERS
    assert found.differs["message.timestamp.type"] == ("CreateTime", "LogAppendTime")

    await ensure_topics(broker.bootstrap, topic_prefix, 1)

    (healed,) = [s for s in await check_topics(broker.bootstrap, topic_prefix, 1) if s.name == name]
    assert healed.status is Status.OK
    assert healed.own["max.message.bytes"] == "2000000"


async def test_another_number_of_partitions_is_refused_with_the_cure_and_nothing_is_made(
    broker: Broker, topic_prefix: str
) -> None:
    async with admin_client(broker.bootstrap) as admin:
        await admin.create_topics([NewTopic(topic_prefix + JOURNAL.name, 5, 1)])
    await eventually_wrong(broker.bootstrap, topic_prefix, 4, Status.PARTITIONS_DIFFER)
    with pytest.raises(CommandError, match="journal has 5 partitions instead of 4") as refusal:
        await ensure_topics(broker.bootstrap, topic_prefix, 4)
    assert "HOLDFAST_PARTITIONS=5" in refusal.value.cure
    async with admin_client(broker.bootstrap) as admin:
        assert topic_prefix + STATUS.name not in await admin.list_topics()


async def test_a_role_must_not_start_on_missing_topics(broker: Broker, topic_prefix: str) -> None:
    with pytest.raises(CommandError, match="topics are missing") as refusal:
        require_topics(await check_topics(broker.bootstrap, topic_prefix, 1))
    assert refusal.value.cure == "`holdfast topics apply`"


async def test_a_broker_that_does_not_answer_is_a_sentence_and_not_a_trace() -> None:
    with pytest.raises(CommandError, match=r"no Kafka broker answers at 127\.0\.0\.1:1 "):
        await check_topics("127.0.0.1:1", "x.", 1)


def test_the_topics_fixture_gives_a_complete_set(broker: Broker, topics: str, partitions: int) -> None:
    require_topics(asyncio.run(check_topics(broker.bootstrap, topics, partitions)))
