"""The AsyncAPI 3.0 description of the topics, made from the topic table and the catalogue.

One document for all roles: who sends and receives what on which topic. Payloads are references to the `.avsc` files
beside it, so that each schema stands in one place only.
"""

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import yaml

from holdfast.schemas.codec import schema_of
from holdfast.schemas.record import Record
from holdfast.schemas.topics import DEFAULT_PARTITIONS, DEFAULT_PREFIX, TOPICS, Topic

FILE_NAME = "asyncapi.yaml"
AVRO_FOLDER = "./holdfast/schemas/avro"
AVRO_FORMAT = "application/vnd.apache.avro;version=1.9.0"
KAFKA_BINDING = "0.5.0"
DEAD_LETTER = "DeadLetter"

CLOUD_EVENT_HEADERS: Mapping[str, str] = {
    "ce_specversion": "Version of CloudEvents, 1.0.",
    "ce_type": "Full name of the record.",
    "ce_dataschema": "urn:holdfast:schema:<id>, with the id that stands in the frame of the value.",
    "content-type": "application/avro: the data of the event is the Confluent-framed value.",
    "ce_id": "Identity of the record; equal for repeats of it.",
    "ce_source": "Path of the role that wrote it, such as /holdfast/ingress.",
    "ce_subject": "Identity of the workflow within its tenant.",
    "ce_time": "Clock of whoever made the record, RFC 3339.",
    "ce_tenant": "Tenant that owns the workflow.",
}
OPTIONAL_HEADERS: Mapping[str, str] = {
    "ce_sequence": "Place in the workflow's journal, 20 digits; only on events of the journal.",
    "ce_traceparent": "W3C trace context; only if there is one.",
}
DEAD_LETTER_HEADERS: Mapping[str, str] = {
    "x-dlq-topic": "Topic that the record stood on.",
    "x-dlq-partition": "Partition that it stood in.",
    "x-dlq-offset": "Offset that it had.",
    "x-dlq-timestamp": "Timestamp that it had, in ms.",
    "x-dlq-stage": "What was being done with it.",
    "x-dlq-error-class": "Stable code of what is wrong.",
    "x-dlq-error-message": "What is wrong, in a sentence.",
}


def document() -> dict[str, Any]:
    """The AsyncAPI document as plain values."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:holdfast",
        "info": {
            "title": "Holdfast topics",
            "version": version("holdfast"),
            "description": "Values are Avro in Confluent framing (a zero byte, a 4-byte schema id, the body); the ids "
            "stand in holdfast/schemas/avro/catalog.json. Keys are UTF-8 text, partitioned by murmur2 as Java does "
            "(librdkafka: partitioner=murmur2_random). Headers are a copy of the value for routing.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/avro",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": dict(operation for topic in TOPICS for operation in _operations(topic)),
        "components": {
            "messages": {
                **{name(record): _message(topic, record) for topic in TOPICS for record in topic.records},
                DEAD_LETTER: _dead_letter(),
            },
            "messageTraits": {"cloudEvent": {"headers": _headers(CLOUD_EVENT_HEADERS, OPTIONAL_HEADERS)}},
        },
    }


def render() -> str:
    """The document as the text of `asyncapi.yaml`."""
    text = yaml.dump(document(), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return f"# Made by `holdfast schemas asyncapi --write` from the topics and the catalogue: not to be edited.\n{text}"


def name(record: type[Record]) -> str:
    """The key of a record's message in the document."""
    return schema_of(record).subject


class _Dumper(yaml.SafeDumper):
    """Writes equal values out in full: references of YAML are no help to a reader."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _channel(topic: Topic) -> dict[str, Any]:
    records = {record.__name__: name(record) for record in topic.records} or {DEAD_LETTER: DEAD_LETTER}
    return {
        "address": DEFAULT_PREFIX + topic.name,
        "title": topic.name,
        "description": topic.purpose,
        "messages": {key: {"$ref": f"#/components/messages/{target}"} for key, target in records.items()},
        "bindings": {
            "kafka": {
                "topic": DEFAULT_PREFIX + topic.name,
                "partitions": topic.partitions(DEFAULT_PARTITIONS),
                "topicConfiguration": _configuration(topic),
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    config = topic.broker_config()
    return {
        "cleanup.policy": config.pop("cleanup.policy").split(","),
        **{key: int(value) if re.fullmatch(r"-?\d+", value) else value for key, value in config.items()},
    }


def _operations(topic: Topic) -> list[tuple[str, dict[str, Any]]]:
    channel = {"$ref": f"#/channels/{topic.name}"}
    return [
        (f"{_slug(role)}.{action}.{topic.name}", {"action": action, "title": role, "channel": channel})
        for action, roles in (("send", topic.producers), ("receive", topic.consumers))
        for role in roles
    ]


def _slug(role: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", role.lower())


def _message(topic: Topic, record: type[Record]) -> dict[str, Any]:
    schema = schema_of(record)
    parsed = schema.parsed()
    has_meta = parsed["fields"][0]["name"] == "meta"
    return {
        "name": schema.subject,
        "title": schema.name,
        "summary": parsed["doc"],
        "contentType": "application/avro",
        **({"traits": [{"$ref": "#/components/messageTraits/cloudEvent"}]} if has_meta else {}),
        "payload": {"schemaFormat": AVRO_FORMAT, "schema": {"$ref": f"{AVRO_FOLDER}/{schema.path}"}},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": topic.key_for(record)},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "RecordNameStrategy",
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _dead_letter() -> dict[str, Any]:
    return {
        "name": DEAD_LETTER,
        "title": "Dead letter",
        "summary": "Key, value and headers as they were found, and headers that say where they stood and why.",
        "contentType": "application/octet-stream",
        "headers": _headers(DEAD_LETTER_HEADERS, {}),
        "payload": {"description": "The bytes that nobody could read; there may be none."},
    }


def _headers(required: Mapping[str, str], optional: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {key: {"type": "string", "description": text} for key, text in {**required, **optional}.items()},
    }
