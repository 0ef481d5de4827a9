"""Others read and write our topics with another client, and with nothing of ours but the .avsc files and catalog.json.

The foreign side uses confluent-kafka (librdkafka), fastavro and the files; our side uses our codec and aiokafka.
"""

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer
from confluent_kafka import TopicPartition as ForeignTopicPartition
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from holdfast.ops.embedded.broker import Broker
from holdfast.schemas import codec
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.partitioner import partition_of
from holdfast.schemas.record import EventMeta, Record
from holdfast.schemas.requests import StartWorkflow
from holdfast.schemas.topics import REQUESTS, TOPICS, Topic
from support.samples import KEY, TENANT, WORKFLOW_ID, sample, sample_meta

AVRO = Path(__file__).parents[2] / "schemas" / "holdfast" / "schemas" / "avro"
CATALOG = {entry["id"]: entry for entry in json.loads((AVRO / "catalog.json").read_text(encoding="utf-8"))}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WAIT_S = 30.0


def schema_text(id_: int) -> dict[str, Any]:
    node: dict[str, Any] = json.loads((AVRO / CATALOG[id_]["path"]).read_text(encoding="utf-8"))
    return node


def foreign_read(value: bytes) -> tuple[str, dict[str, Any]]:
    """Name and values of a record, read as somebody would who has the files and the framing rule."""
    assert value[0] == 0
    id_ = int.from_bytes(value[1:5], "big")
    node = schema_text(id_)
    values: Any = schemaless_reader(io.BytesIO(value[5:]), parse_schema(node))
    for field in node["fields"]:
        if isinstance(field["type"], dict) and field["type"].get("mediaType") == "application/json":
            values[field["name"]] = json.loads(values[field["name"]])
    return CATALOG[id_]["subject"], values


def foreign_consume(bootstrap: str, topic: str, count: int) -> Iterator[Message]:
    """The records of a topic, by librdkafka."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topic}-foreign", "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=WAIT_S).topics[topic].partitions
        consumer.assign([ForeignTopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        give_up_at = time.monotonic() + WAIT_S
        while count and time.monotonic() < give_up_at:
            message = consumer.poll(0.2)
            if message is not None:
                assert message.error() is None
                count -= 1
                yield message
        assert count == 0, f"{count} records of {topic} did not arrive"
    finally:
        consumer.close()


def ours_as_foreign(body: Record, meta: EventMeta | None) -> dict[str, Any]:
    """What somebody else should read: times as datetimes, lists as lists."""
    node = codec.schema_of(type(body)).parsed()
    values = dict(vars(body))
    if meta is not None:
        values["meta"] = with_datetimes(node["fields"][0]["type"]["fields"], vars(meta))
    return with_datetimes(node["fields"], values)


def with_datetimes(fields: list[dict[str, Any]], values: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for field in fields:
        value = values[field["name"]]
        is_time = isinstance(field["type"], dict) and field["type"].get("logicalType") == "timestamp-millis"
        found[field["name"]] = EPOCH + timedelta(milliseconds=value) if is_time else value
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic.records], ids=lambda topic: topic.name)
async def test_every_record_on_every_topic_is_read_by_a_foreign_client(
    topic: Topic, broker: Broker, topics: str
) -> None:
    written = {codec.schema_of(cls).subject: (sample(cls), sample_meta(cls)) for cls in topic.records}
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        for body, meta in written.values():
            headers = cloud_event(body, meta, "/holdfast/test") if meta else []
            await producer.send_and_wait(
                topics + topic.name, codec.encode(body, meta), key=KEY.encode(), headers=headers
            )

    arrived = {}
    for message in foreign_consume(broker.bootstrap, topics + topic.name, len(written)):
        value = message.value()
        assert isinstance(value, bytes)
        subject, values = foreign_read(value)
        arrived[subject] = values
        assert message.key() == KEY.encode()
        body, meta = written[subject]
        if meta is None:
            assert not message.headers()
        else:
            check_headers(dict(message.headers() or []), subject, values["meta"])
    assert arrived == {subject: ours_as_foreign(body, meta) for subject, (body, meta) in written.items()}


def check_headers(headers: dict[str, Any], subject: str, meta: dict[str, Any]) -> None:
    """The attributes that CloudEvents 1.0 demands, and those that routing needs, as the value says them."""
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == subject.encode()
    assert headers["ce_id"] == meta["event_id"].encode()
    assert headers["ce_source"] == b"/holdfast/test"
    assert headers["ce_tenant"] == TENANT.encode()
    assert headers["ce_subject"] == WORKFLOW_ID.encode()
    assert headers["content-type"] == b"application/avro"
    assert datetime.fromisoformat(headers["ce_time"].decode()) == meta["occurred_at_ms"]
    assert CATALOG[int(headers["ce_dataschema"].rsplit(b":", 1)[1])]["subject"] == subject


def foreign_start(workflow_id: str) -> bytes:
    """A StartWorkflow as somebody writes it who has read nothing but its schema."""
    versions = [entry for entry in CATALOG.values() if entry["subject"] == "holdfast.request.v1.StartWorkflow"]
    id_ = max(versions, key=lambda entry: int(entry["version"]))["id"]
    meta = {
        **{"event_id": f"req-{workflow_id}", "type": "StartWorkflow", "tenant": TENANT, "workflow_id": workflow_id},
        **{"definition_name": "", "definition_hash": "", "sequence": 0, "index": 0, "count": 0, "cause_offset": -1},
        **{"cause_id": "", "correlation_id": "", "traceparent": "", "actor_kind": "service", "actor_id": "shop"},
        **{"occurred_at_ms": EPOCH + timedelta(days=20_000), "recorded_at_ms": 0, "previous_hash": b"", "hash": b""},
    }
    values = {"meta": meta, "definition": "refund", "definition_hash": "", "input": '{ "order": 7, "note": "für Ann" }'}
    buffer = io.BytesIO()
    buffer.write(b"\x00" + id_.to_bytes(4, "big"))
    schemaless_writer(buffer, parse_schema(schema_text(id_)), values)
    return buffer.getvalue()


async def test_a_request_of_a_foreign_producer_is_read_and_stands_in_the_partition_of_its_workflow(
    broker: Broker, topics: str, partitions: int
) -> None:
    topic = topics + REQUESTS.name
    workflow_ids = [f"order-{number}" for number in range(40)]
    producer = Producer({"bootstrap.servers": broker.bootstrap, "partitioner": "murmur2_random", "acks": "all"})
    for workflow_id in workflow_ids:
        producer.produce(topic, foreign_start(workflow_id), key=f"{TENANT}/{workflow_id}".encode())
    assert producer.flush(WAIT_S) == 0

    seen: dict[str, int] = {}
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False) as consumer:
        assigned = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        give_up_at = time.monotonic() + WAIT_S
        while len(seen) < len(workflow_ids) and time.monotonic() < give_up_at:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    message = codec.decode(record.value)
                    assert message.body == StartWorkflow(
                        definition="refund", definition_hash="", input={"order": 7, "note": "für Ann"}
                    )
                    assert record.key == f"{TENANT}/{message.meta.workflow_id}".encode()
                    assert record.partition == partition_of(record.key, partitions)
                    seen[message.meta.workflow_id] = record.partition
    assert sorted(seen) == sorted(workflow_ids)
    assert set(seen.values()) == set(range(partitions)), "the keys should spread over all partitions"
