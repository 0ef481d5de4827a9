"""One canonical JSON text per value: sorted keys, no spaces, UTF-8. Hashes and golden bytes depend on it."""

import hashlib

import orjson

from holdfast.schemas.record import Json

DEPTH_LIMIT = 254
"""How deep a value may be nested to be written: orjson's own limit. It reads more."""
INPUT_DEPTH_LIMIT = 100
"""How deep a value from outside may be nested: there must be room for what the engine wraps around it."""

_CANONICAL = orjson.OPT_SORT_KEYS


def dumps(value: object) -> str:
    """The canonical text of a JSON value. Raises TypeError if it is not one."""
    return orjson.dumps(value, option=_CANONICAL).decode()


def loads(text: str | bytes) -> Json:
    """The value of a JSON text from outside.

    Raises ValueError if it is not one, or nested deeper than INPUT_DEPTH_LIMIT.
    """
    value: Json = orjson.loads(text)
    check_depth(value, text if isinstance(text, str) else text.decode(), INPUT_DEPTH_LIMIT)
    return value


def check_depth(value: object, text: str, limit: int) -> None:
    """Raises ValueError if `value` is nested deeper than `limit` levels; `text` is its JSON text.

    What could be read and never written again would stop its partition for good.
    """
    if text.count("[") + text.count("{") <= limit:
        return
    for _ in range(DEPTH_LIMIT - limit):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError as exc:
        raise ValueError(f"a value is nested deeper than {limit} levels") from exc


def in_order(value: Json) -> Json:
    """The same value with all keys in the order of the canonical text: what reading that text would give.

    Returns `value` itself if it is in order already.
    """
    if isinstance(value, dict):
        if list(value) != sorted(value):
            return {key: in_order(value[key]) for key in sorted(value)}
        changed = {key: inner for key, old in value.items() if (inner := in_order(old)) is not old}
        return {**value, **changed} if changed else value
    if isinstance(value, list):
        items = [in_order(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def digest(value: object) -> str:
    """SHA-256 of the canonical text, lower-case hex."""
    return hashlib.sha256(orjson.dumps(value, option=_CANONICAL)).hexdigest()
