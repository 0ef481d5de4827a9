"""Records that cannot be read: kept untouched on their own topic, with headers that say where they stood and why."""

from typing import Any

from holdfast.schemas import topics
from holdfast.schemas.headers import Headers, dead_letter
from holdfast.streams.faustkit.schema import Poison
from holdfast.streams.faustkit.send import Outgoing


def poison_record(message: Any, poison: Poison, stage: str, topic_prefix: str) -> Outgoing:
    """The dead letter of a message that could not be read, untouched but for the headers that say why."""
    original = message.headers
    kept: Headers = list(original.items()) if isinstance(original, dict) else list(original or [])
    headers = dead_letter(
        kept,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=round(message.timestamp * 1000),
        stage=stage,
        code=poison.code,
        message=poison.message,
    )
    return Outgoing(topic_prefix + topics.DEAD_LETTERS.name, None, message.key, message.value, headers)
