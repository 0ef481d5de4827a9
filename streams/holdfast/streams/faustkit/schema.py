"""Decoding that never raises, so that a bad record reaches the agent instead of crashing it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faust
from faust.events import Event

from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.ids import workflow_key


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that could not be read: a stable code and why."""

    code: str
    message: str


class FramedSchema(faust.Schema):
    """Decodes Confluent-framed records of our catalogue; the key must be the workflow key that the meta names."""

    def compile(self, app: Any, **_options: Any) -> Callable[..., Any]:
        """The decoder that Faust calls for each message."""

        async def decode_message(message: Any, *, propagate: bool = False) -> Event:
            del propagate
            return Event(app, message.key, read(message.key, message.value), message.headers, message)

        return decode_message


def read(key: bytes | None, value: bytes | None) -> Any:
    """The decoded message, or Poison."""
    try:
        message = decode(value)
    except DecodeError as exc:
        return Poison(exc.code, str(exc))
    wanted = workflow_key(message.meta.tenant, message.meta.workflow_id).encode()
    if key != wanted:
        return Poison("key_mismatch", f"the key is {key!r}, but the meta names {wanted!r}")
    return message
