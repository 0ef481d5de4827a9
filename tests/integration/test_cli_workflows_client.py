"""The client on a real broker without an engine: what it writes, and what it says when nobody answers."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.ops.answers import Answers
from holdfast.ops.client import Client, Receipt, new_workflow_id
from holdfast.ops.embedded.broker import Broker
from holdfast.ops.errors import CommandError
from holdfast.ops.published import read_definitions
from holdfast.schemas import requests as req
from holdfast.schemas.codec import decode
from holdfast.schemas.ids import WORKFLOW_ID
from holdfast.schemas.partitioner import partition_of
from holdfast.schemas.record import Json
from holdfast.schemas.topics import REQUESTS
from holdfast.streams.core.definition import Definition
from holdfast.streams.definition_file import parse_definition

DEFINITION = "name: nothing\ndeadline: 1h\nstart: end\nsteps: {end: {kind: succeed}}\n"


def a_client(broker: Broker, topics: str, **more: str) -> Client:
    return Client(broker.bootstrap, topics, "acme", "ann", **more)


async def record_at(broker: Broker, topics: str, receipt: Receipt) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        place = TopicPartition(topics + REQUESTS.name, receipt.partition)
        consumer.assign([place])
        consumer.seek(place, receipt.offset)
        return await asyncio.wait_for(consumer.getone(), 10)
    finally:
        await consumer.stop()


async def test_a_request_stands_where_its_receipt_says_as_other_producers_would_write_it(
    broker: Broker, topics: str
) -> None:
    async with a_client(broker, topics) as client:
        receipt = await client.deliver("w-1", "said", {"text": "yes"}, correlation="T-1", event_id="mail-7")
    record = await record_at(broker, topics, receipt)
    message = decode(record.value)
    assert (receipt.event_id, receipt.workflow_id) == ("mail-7", "w-1")
    assert record.key == b"acme/w-1"
    assert receipt.partition == partition_of(record.key, 4)
    assert message.body == req.DeliverEvent(event_type="said", correlation="T-1", payload={"text": "yes"})
    meta = message.meta
    assert (meta.event_id, meta.tenant, meta.workflow_id) == ("mail-7", "acme", "w-1")
    assert (meta.actor_kind, meta.actor_id, meta.correlation_id) == ("person", "ann", "mail-7")
    headers = dict(record.headers)
    assert headers["ce_id"] == b"mail-7"
    assert headers["ce_type"] == b"holdfast.request.v1.DeliverEvent"


async def test_each_request_is_of_its_type_and_gets_an_id_of_its_own(broker: Broker, topics: str) -> None:
    async with a_client(broker, topics, actor_kind="service") as client:
        receipts = [
            await client.start("nothing", {"a": 1}, definition_hash="h"),
            await client.decide("w-1", "a-1", "approve", "h", comment="Good."),
            await client.cancel("w-1", "Enough."),
        ]
    messages = [decode((await record_at(broker, topics, receipt)).value) for receipt in receipts]
    assert [message.body for message in messages] == [
        req.StartWorkflow(definition="nothing", definition_hash="h", input={"a": 1}),
        req.DecideApproval(approval_id="a-1", decision="approve", action_hash="h", comment="Good."),
        req.CancelWorkflow(reason="Enough."),
    ]
    assert len({receipt.event_id for receipt in receipts}) == 3
    assert {message.meta.actor_kind for message in messages} == {"service"}
    assert receipts[0].workflow_id.startswith("nothing-")


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [2**70, nested(150), "\ud800"], ids=["too big", "too deep", "no text"])
async def test_what_does_not_fit_a_record_is_not_sent(broker: Broker, topics: str, value: Any) -> None:
    async with a_client(broker, topics) as client:
        with pytest.raises(CommandError, match="cannot be sent as a StartWorkflow"):
            await client.start("nothing", value)


async def test_a_published_definition_can_be_read_with_its_hash(broker: Broker, topics: str) -> None:
    definition = parse_definition(DEFINITION, "nothing.yaml", {})
    assert await read_definitions(broker.bootstrap, topics) == ()
    async with a_client(broker, topics) as client:
        await client.publish(definition)
    (published,) = await read_definitions(broker.bootstrap, topics)
    assert (published.name, published.hash, published.body) == ("nothing", definition.hash, definition.body())
    assert (published.newest, published.published_by) == (True, "ann")


def starting(child: str, value: Json) -> Definition:
    """A definition made in Python, with nothing pinned yet."""
    step = {"kind": "child", "definition": child, "input": value, "timeout": "1h", "next": "end"}
    steps = {"ask": step, "end": {"kind": "succeed"}}
    return Definition.model_validate({"name": "starter", "deadline": "1h", "start": "ask", "steps": steps})


async def test_a_definition_made_in_python_pins_the_newest_of_what_it_starts(broker: Broker, topics: str) -> None:
    old, new = (parse_definition(DEFINITION.replace("1h", limit), "nothing.yaml", {}) for limit in ("1h", "2h"))
    starter = starting("nothing", {"n": 1})
    async with a_client(broker, topics) as client:
        with pytest.raises(CommandError, match="starter starts nothing, which is not published"):
            await client.publish(starter)
        await client.publish(old)
        await client.publish(new)
        pinned = await client.pinned(starter)
        await client.publish(starter)
        chosen = starter.model_copy(update={"children": {"nothing": old.hash}})
        assert await client.pinned(chosen) == chosen
    published = {other.name: other for other in await read_definitions(broker.bootstrap, topics) if other.newest}
    assert published["starter"].hash == pinned.hash
    assert published["starter"].children == {"nothing": new.hash}


async def test_a_definition_made_in_python_must_hand_over_what_fits(broker: Broker, topics: str) -> None:
    schema = "input: {type: object, required: [who]}\n"
    async with a_client(broker, topics) as client:
        await client.publish(parse_definition(DEFINITION + schema, "nothing.yaml", {}))
        with pytest.raises(CommandError, match="'who' is a required property"):
            await client.publish(starting("nothing", {"n": 1}))


async def test_a_request_without_an_engine_has_no_verdict(broker: Broker, topics: str) -> None:
    async with (
        a_client(broker, topics) as client,
        Answers(broker.bootstrap, topics, "acme", "w-1") as answers,
    ):
        receipt = await client.cancel("w-1", "x")
        with pytest.raises(TimeoutError):
            await answers.verdict(receipt.event_id, timeout_s=0.5)


async def test_missing_topics_are_named(broker: Broker, topic_prefix: str) -> None:
    with pytest.raises(CommandError, match=rf"the topic {topic_prefix}journal is missing"):
        async with Answers(broker.bootstrap, topic_prefix, "acme", "w-1"):
            pass


def test_a_made_up_workflow_id_is_a_valid_one() -> None:
    made = {new_workflow_id("support-ticket") for _ in range(100)}
    assert len(made) == 100
    assert all(WORKFLOW_ID.fullmatch(workflow_id) for workflow_id in made)
