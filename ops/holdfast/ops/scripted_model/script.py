"""Scripts as data: which request gets which answer, and what goes wrong on the way."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from holdfast.schemas.record import Json

FaultKind = Literal[
    "delay",
    "rate_limit",
    "quota",
    "error",
    "cut",
    "html",
    "invalid_json",
    "length",
    "wrong_tool",
    "no_choices",
    "no_finish",
    "no_usage",
]


class ScriptError(Exception):
    """A script, or one of its answers, is wrong; the text says where."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Part):
    """Conditions on a request; all that are given must hold.

    `system` and `user` are texts that must occur in a message of that role, `turn` is the number of answers in the
    transcript so far, `answered` names tools whose results must be in the transcript, `offered` tools that the
    request must offer.
    """

    system: str = ""
    user: str = ""
    turn: int | None = None
    answered: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    model: str = ""


class ToolCallAnswer(_Part):
    """One tool call of an answer."""

    name: str
    arguments: dict[str, Json] = Field(default_factory=dict)


class Answer(_Part):
    """What the model says: tool calls, or content (text, or a JSON value that is sent as text).

    Strings may hold `{{ /pointer }}` into the transcript, see `template.py`.
    """

    content: Json = None
    tool_calls: tuple[ToolCallAnswer, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> "Answer":
        if self.content is None and not self.tool_calls:
            raise ValueError("an answer needs content or tool_calls")
        return self


class Usage(_Part):
    """Token counts of an answer; those not given are computed from the lengths of request and answer."""

    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    cached_tokens: int = Field(default=0, ge=0)


class Fault(_Part):
    """Something that goes wrong the first `times` times for each transcript, or for each conversation.

    A conversation is what its first messages up to the first answer say: `per: conversation` lets the repair of a bad
    answer succeed. `delay_ms` comes before whatever else happens.
    """

    id: str = Field(default="", max_length=100)
    kind: FaultKind
    match: Match = Match()
    times: int = Field(default=1, ge=1)
    per: Literal["transcript", "conversation"] = "transcript"
    delay_ms: int = Field(default=0, ge=0, le=600_000)
    status: int = Field(default=500, ge=400, le=599)
    retry_after: str = Field(default="1", description="value of Retry-After: seconds, or a date")


class Rule(_Part):
    """The answer to requests that match; `faults` are limited to this rule."""

    name: str
    match: Match = Match()
    answer: Answer
    usage: Usage = Usage()
    faults: tuple[Fault, ...] = ()


class Script(_Part):
    """A whole script; the first rule that matches answers."""

    models: tuple[str, ...] = ("scripted",)
    rules: tuple[Rule, ...] = Field(min_length=1)
    faults: tuple[Fault, ...] = ()


def load_script(path: Path) -> Script:
    """The script in a YAML or JSON file. Raises ScriptError."""
    try:
        return Script.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ScriptError(f"cannot read the script {path}: {exc}") from exc
    except ValidationError as exc:
        raise ScriptError(f"the script {path} is wrong: {exc}") from exc
