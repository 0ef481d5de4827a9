"""The topic table: what must hold for every topic, whatever is added to it."""

import re

import pytest

from holdfast.schemas.topics import (
    CHANGELOG,
    CORRELATIONS,
    CORRELATOR_CHANGELOG,
    INBOX,
    JOURNAL,
    STATUS,
    TOPICS,
    WORKFLOW_KEY,
    Topic,
)

TOPIC = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


def test_no_two_topics_share_a_name() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(names) == len(set(names))


@TOPIC
def test_a_name_has_no_underscore_because_it_collides_with_a_dot_in_metrics(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", topic.name)


@TOPIC
def test_everything_keyed_by_workflow_has_one_partition_count(topic: Topic) -> None:
    assert topic.co_partitioned or topic.key != WORKFLOW_KEY
    assert topic.partitions(12) == (12 if topic.co_partitioned else 1)


@TOPIC
def test_a_topic_says_who_writes_and_reads_it_and_why(topic: Topic) -> None:
    assert topic.producers
    assert topic.consumers
    assert topic.purpose.endswith(".")


@TOPIC
def test_a_topic_is_either_compacted_or_kept_for_a_time(topic: Topic) -> None:
    config = topic.broker_config()
    assert config["cleanup.policy"] == topic.cleanup
    assert ("retention.ms" in config) == (topic.cleanup == "delete")


def test_the_journal_is_kept_for_ever() -> None:
    assert JOURNAL.broker_config() == {"cleanup.policy": "delete", "retention.ms": "-1"}


@pytest.mark.parametrize("topic", [INBOX, CORRELATIONS], ids=lambda topic: topic.name)
def test_what_is_folded_is_stamped_by_the_broker(topic: Topic) -> None:
    assert topic.broker_config()["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("topic", [CHANGELOG, CORRELATOR_CHANGELOG, STATUS], ids=lambda topic: topic.name)
def test_a_topic_of_latest_values_is_compacted(topic: Topic) -> None:
    assert topic.broker_config()["cleanup.policy"] == "compact"
