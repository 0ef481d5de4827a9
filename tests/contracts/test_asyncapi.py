"""The committed `asyncapi.yaml` is what the topics and the catalogue say, and is well-formed AsyncAPI 3.0."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.schemas import asyncapi
from holdfast.schemas.catalog import AVRO, schemas_by_id
from holdfast.schemas.headers import cloud_event, dead_letter
from holdfast.schemas.topics import TOPICS, Topic
from support.samples import samples

FILE = Path(str(AVRO)).parents[2] / asyncapi.FILE_NAME
DOCUMENT: dict[str, Any] = yaml.safe_load(asyncapi.render())
KEY = re.compile(r"[A-Za-z0-9._-]+")

# The fields that the specification allows, by object. A misspelt one would be passed over by every tool.
ALLOWED = {
    "root": {"asyncapi", "id", "info", "defaultContentType", "channels", "operations", "components"},
    "channel": {"address", "title", "description", "messages", "bindings"},
    "operation": {"action", "title", "channel"},
    "message": {"name", "title", "summary", "contentType", "headers", "traits", "payload", "bindings"},
    "kafka channel": {"topic", "partitions", "topicConfiguration", "bindingVersion"},
    "kafka message": {
        "key",
        "schemaIdLocation",
        "schemaIdPayloadEncoding",
        "schemaLookupStrategy",
        "bindingVersion",
    },
}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            assert node.keys() == {"$ref"}
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def test_the_committed_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == asyncapi.render(), "run `holdfast schemas asyncapi --write`"


def test_the_document_survives_the_way_through_yaml() -> None:
    assert asyncapi.document() == DOCUMENT


def test_the_document_has_what_the_specification_demands() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    assert DOCUMENT.keys() <= ALLOWED["root"]
    assert DOCUMENT["components"].keys() == {"messages", "messageTraits"}


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > len(TOPICS)
    for reference in found:
        if reference.startswith("#"):
            assert resolve(reference)
        else:
            assert (FILE.parent / reference).is_file(), reference


def test_all_names_are_made_of_allowed_characters() -> None:
    components = DOCUMENT["components"]
    names = [*DOCUMENT["channels"], *DOCUMENT["operations"], *components["messages"], *components["messageTraits"]]
    assert [name for name in names if not KEY.fullmatch(name)] == []


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_is_a_channel_with_its_configuration(topic: Topic) -> None:
    channel = DOCUMENT["channels"][topic.name]
    kafka = channel["bindings"]["kafka"]
    assert channel.keys() <= ALLOWED["channel"]
    assert kafka.keys() <= ALLOWED["kafka channel"]
    assert channel["address"] == kafka["topic"] == f"holdfast.{topic.name}"
    assert set(channel["messages"]) == ({record.__name__ for record in topic.records} or {"DeadLetter"})
    configuration = kafka["topicConfiguration"]
    assert set(configuration["cleanup.policy"]) <= {"compact", "delete"}
    assert configuration.get("retention.ms", -1) == topic.retention_ms
    assert {key for key in configuration if key != "cleanup.policy"} == topic.broker_config().keys() - {
        "cleanup.policy"
    }


def test_the_key_of_a_record_is_the_same_on_all_its_topics() -> None:
    for record in {record for topic in TOPICS for record in topic.records}:
        assert len({topic.key_for(record) for topic in TOPICS if record in topic.records}) == 1, record


def test_every_message_is_avro_of_the_newest_version() -> None:
    messages = dict(DOCUMENT["components"]["messages"])
    del messages["DeadLetter"]
    assert set(messages) == {schema.subject for schema in schemas_by_id().values()}
    for message in messages.values():
        assert message.keys() <= ALLOWED["message"]
        assert message["bindings"]["kafka"].keys() <= ALLOWED["kafka message"]
        assert message["payload"]["schemaFormat"] == "application/vnd.apache.avro;version=1.9.0"


def test_every_role_has_an_operation_for_each_topic_it_writes_or_reads() -> None:
    operations = list(DOCUMENT["operations"].values())
    assert all(operation.keys() == ALLOWED["operation"] for operation in operations)
    assert {operation["action"] for operation in operations} == {"send", "receive"}
    assert len(operations) == sum(len(topic.producers) + len(topic.consumers) for topic in TOPICS)


def test_the_documented_headers_are_those_that_are_sent() -> None:
    required, optional = set(asyncapi.CLOUD_EVENT_HEADERS), set(asyncapi.OPTIONAL_HEADERS)
    for body, meta in samples():
        if meta is not None:
            assert {name for name, _ in cloud_event(body, meta, "/holdfast/test")} == required | optional


def test_the_documented_headers_of_dead_letters_are_those_that_are_sent() -> None:
    sent = dead_letter([], topic="t", partition=0, offset=0, timestamp_ms=0, stage="s", code="c", message="m")
    assert {name for name, _ in sent} == set(asyncapi.DEAD_LETTER_HEADERS)
