"""Decoding that never raises, so that a bad record reaches the agent instead of crashing it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faust
from faust.events import Event

from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.keys import key_of


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that could not be read: a stable code and why."""

    code: str
    message: str


class FramedSchema(faust.Schema):
    """Decodes Confluent-framed records of our catalogue; the key must be the one that belongs to the record."""

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
    wanted = key_of(message.meta, message.body).encode()
    if key != wanted:
        return Poison("key_mismatch", f"the key is {key!r}, but the record belongs to {wanted!r}")
    return message
