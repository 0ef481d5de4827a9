"""One canonical JSON text per value: sorted keys, no spaces, UTF-8. Hashes and golden bytes depend on it."""

import hashlib

import orjson

from holdfast.schemas.record import Json

_CANONICAL = orjson.OPT_SORT_KEYS


def dumps(value: object) -> str:
    """The canonical text of a JSON value. Raises TypeError if it is not one."""
    return orjson.dumps(value, option=_CANONICAL).decode()


def loads(text: str | bytes) -> Json:
    """The value of a JSON text. Raises ValueError if it is not one."""
    value: Json = orjson.loads(text)
    return value


def digest(value: object) -> str:
    """SHA-256 of the canonical text, lower-case hex."""
    return hashlib.sha256(orjson.dumps(value, option=_CANONICAL)).hexdigest()
