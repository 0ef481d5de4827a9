"""A workflow definition: a flat graph of named steps, as data.

Written in YAML or built from these models. `compile.py` finds its mistakes; its identity is the SHA-256 of its
canonical form (`Definition.hash`). Strings of the form `${...}` inside templates are CEL expressions; `when` and
`check` are bare CEL expressions.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.schemas import jsontext
from holdfast.schemas.record import Json
from holdfast.streams.core.durations import DurationMs

NAME_PATTERN = r"[a-z][a-z0-9_]{0,62}"
DEFINITION_NAME_PATTERN = r"[a-z0-9][a-z0-9-]{0,62}"
ANY_ERROR = "*"

StepName = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
Effect = Literal["read", "txn", "keyed", "lookup", "once"]


class Model(BaseModel):
    """Base of all parts: frozen, no unknown keys, written with the names that people use."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Retry(Model):
    """When and how often a call is attempted again.

    Attempt n+1 waits `initial * factor**(n-1)`, at most `maximum`, plus up to `jitter` of it. `errors` are the
    classes worth another attempt, beside those that the executor itself reports as retryable.
    """

    max_attempts: int = Field(default=3, ge=1, le=100)
    initial_ms: DurationMs = Field(default=1_000, alias="initial")
    factor: float = Field(default=2.0, ge=1.0, le=10.0)
    maximum_ms: DurationMs = Field(default=60_000, alias="maximum")
    jitter: float = Field(default=0.2, ge=0.0, le=1.0)
    errors: tuple[str, ...] = ("rate_limited", "unavailable", "timeout", "lease_expired")


class Tool(Model):
    """The part of a tool's manifest that a definition pins when it is applied."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    description: str = ""
    effect: Effect
    timeout_ms: int = Field(gt=0)
    max_attempts: int = Field(default=3, ge=1)
    input_schema: dict[str, Json]
    output_schema: dict[str, Json] = Field(default_factory=dict)
    manifest_hash: str


class _Step(Model):
    purpose: str = ""


class _Working(_Step):
    """A step that does something and goes on."""

    next: StepName
    timeout_ms: DurationMs = Field(default=600_000, alias="timeout")
    catch: dict[str, StepName] = Field(default_factory=dict)


class AgentStep(_Working):
    """A model with instructions and tools; each model call and each tool call is one recorded task."""

    kind: Literal["agent"]
    model: str = "default"
    instructions: str
    prompt: Json = ""
    tools: tuple[str, ...] = ()
    output: dict[str, Json] | None = None
    check: tuple[str, ...] = ()
    max_turns: int = Field(default=8, ge=1, le=200)
    max_repairs: int = Field(default=2, ge=0, le=10)
    max_output_tokens: int = Field(default=1_024, ge=1)
    call_timeout_ms: DurationMs = Field(default=60_000, alias="call_timeout")
    retry: Retry = Retry()


class ToolStep(_Working):
    """One call of one tool with computed arguments; `approved_by` names the approval step that allowed it."""

    kind: Literal["tool"]
    tool: str
    arguments: dict[str, Json] = Field(default_factory=dict)
    approved_by: StepName | None = None
    check: tuple[str, ...] = ()
    retry: Retry = Retry()


class ApprovalStep(_Working):
    """Asks a person to allow one exact call. Rejection and silence are the errors `rejected` and `timeout`."""

    kind: Literal["approval"]
    tool: str
    arguments: dict[str, Json] = Field(default_factory=dict)
    roles: tuple[str, ...] = Field(min_length=1)
    summary: str = ""
    timeout_ms: DurationMs = Field(alias="timeout")


class WaitStep(_Working):
    """Waits for an event from outside, by type and, where given, correlation value."""

    kind: Literal["wait"]
    event: str
    correlation: str = ""
    timeout_ms: DurationMs = Field(alias="timeout")


class SleepStep(_Step):
    """Waits for a duration, or until a time (ms since 1970 or RFC 3339 text)."""

    kind: Literal["sleep"]
    next: StepName
    for_ms: DurationMs | None = Field(default=None, alias="for")
    until: str | None = None


class Branch(Model):
    """One way out of a choice."""

    when: str
    next: StepName


class ChoiceStep(_Step):
    """Takes the first branch whose condition is true, else the default."""

    kind: Literal["choice"]
    branches: tuple[Branch, ...] = Field(min_length=1)
    default: StepName


class AssignStep(_Step):
    """Sets variables."""

    kind: Literal["assign"]
    set: dict[str, Json] = Field(min_length=1)
    next: StepName


class SucceedStep(_Step):
    """Ends the workflow with an output."""

    kind: Literal["succeed"]
    output: Json = Field(default_factory=dict)


class FailStep(_Step):
    """Ends the workflow with an error."""

    kind: Literal["fail"]
    error: str = "failed"
    message: str = ""


Step = Annotated[
    AgentStep | ToolStep | ApprovalStep | WaitStep | SleepStep | ChoiceStep | AssignStep | SucceedStep | FailStep,
    Field(discriminator="kind"),
]


class Definition(Model):
    """A whole workflow definition.

    `input` is the JSON Schema of the workflow's input; `deadline` bounds the whole run; `tools` holds the pinned
    manifests and is filled in when the definition is applied, never by hand.
    """

    name: str = Field(pattern=f"^{DEFINITION_NAME_PATTERN}$")
    purpose: str = ""
    input: dict[str, Json] = Field(default_factory=dict)
    deadline_ms: DurationMs = Field(alias="deadline", gt=0)
    max_steps: int = Field(default=1_000, ge=1, le=100_000)
    start: StepName
    steps: dict[StepName, Step] = Field(min_length=1)
    tools: dict[str, Tool] = Field(default_factory=dict)

    def body(self) -> Json:
        """The canonical form: every field, defaults included, durations in ms."""
        body: Json = self.model_dump(mode="json", by_alias=True)
        return body

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form, lower-case hex: the definition's identity."""
        return jsontext.digest(self.body())
