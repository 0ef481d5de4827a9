"""Why the tables stand still, as a sentence with its cure."""

from collections.abc import Mapping
from typing import Any

from holdfast.ops.cures import cure_of
from holdfast.ops.errors import CommandError
from holdfast.ops.event_text import moment


def standstill(trouble: Mapping[str, Any]) -> CommandError:
    """What the sink says of its trouble (code, message, since_ms, attempts), for people."""
    code, since, attempts = trouble["code"], moment(trouble["since_ms"]), trouble["attempts"]
    said = f"the tables stand still since {since}, attempt {attempts}: {code}: {trouble['message']}"
    return CommandError(said, cure=cure_of(code))
