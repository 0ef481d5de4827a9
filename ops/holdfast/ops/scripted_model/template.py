"""Values out of the transcript: `{{ /tools/read_ticket/subject }}` in any string of an answer.

The pointer is a JSON pointer (RFC 6901) into the transcript's document; `{{ /pointer | text }}` has a text for when
nothing is there. A string that is one placeholder and nothing
else becomes the value itself; otherwise the value's text takes its place.
"""

import re

from holdfast.ops.scripted_model.script import ScriptError
from holdfast.schemas import jsontext
from holdfast.schemas.record import Json

PLACEHOLDER = re.compile(r"\{\{\s*(?P<pointer>/[^\s}|]*)\s*(?:\|\s*(?P<default>[^}]*?)\s*)?\}\}")


def fill(value: Json, document: Json) -> Json:
    """`value` with every placeholder filled in. Raises ScriptError for a pointer to nothing."""
    if isinstance(value, dict):
        return {key: fill(item, document) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, document) for item in value]
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole:
        return _value(whole, document)
    return PLACEHOLDER.sub(lambda match: _as_text(_value(match, document)), value)


def _value(placeholder: re.Match[str], document: Json) -> Json:
    default = placeholder["default"]
    try:
        return look_up(document, placeholder["pointer"])
    except ScriptError:
        if default is None:
            raise
        return default


def look_up(document: Json, pointer: str) -> Json:
    """The value that a JSON pointer names. Raises ScriptError if there is none."""
    value = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise ScriptError(f"the transcript has nothing at {pointer}")
    return value


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value)
