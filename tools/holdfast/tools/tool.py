"""`@tool`: a Python function becomes a tool. Its annotations give the schemas; pydantic checks what goes in and out."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from holdfast.schemas.durations import parse_duration_ms
from holdfast.schemas.record import Json
from holdfast.tools.call import ToolCall
from holdfast.tools.errors import INVALID_ARGUMENTS, INVALID_RESULT, ToolDefinitionError, ToolError, shortened
from holdfast.tools.lookup import Found, Lookup, NotFound, is_call, lookup_for, trace
from holdfast.tools.manifest import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT_MS, Effect, ToolManifest

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Arguments:
    """How JSON arguments become the keyword arguments of a function.

    `parameter` names the one parameter that takes the whole model; if it is empty, each field is a parameter.
    """

    model: type[BaseModel]
    parameter: str
    call_parameter: str


class Tool(Generic[P, R]):
    """A function with its manifest. Calling it calls the function, so a tool is tested like any function."""

    def __init__(
        self,
        function: Callable[P, R],
        manifest: ToolManifest,
        arguments: Arguments,
        result: TypeAdapter[Any],
        lookup: Lookup | None = None,
    ) -> None:
        update_wrapper(self, function)
        self.function = function
        self.manifest = manifest
        self.lookup = lookup
        self.is_async = inspect.iscoroutinefunction(function)
        self._arguments = arguments
        self._result = result

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, unchecked."""
        return self.function(*args, **kwargs)

    def bind(self, arguments: Json, call: ToolCall) -> Mapping[str, Any]:
        """The keyword arguments for the function. Raises ToolError `invalid_arguments`, which is never retried."""
        plan = self._arguments
        try:
            model = plan.model.model_validate_json(orjson.dumps(arguments))
        except Exception as exc:  # a validator of the tool's own may raise anything
            message = f"the arguments of {self.manifest.name} are invalid: {_problems(exc)}"
            raise ToolError(INVALID_ARGUMENTS, shortened(message), retryable=False) from exc
        # `__dict__` has the validated values by field name, without the copy that model_dump would make.
        bound: dict[str, Any] = {plan.parameter: model} if plan.parameter else dict(model.__dict__)
        if plan.call_parameter:
            bound[plan.call_parameter] = call
        return bound

    def result_json(self, result: object) -> Json:
        """What the function returned, as checked JSON.

        Raises ToolError `invalid_result`. By then the effect has happened: the error says what was returned, and is
        never retried.
        """
        try:
            checked = self._result.validate_python(result)
            value: Json = self._result.dump_python(checked, mode="json", by_alias=True, warnings="error")
        except Exception as exc:  # a serializer of the tool's own may raise anything
            message = (
                f"{self.manifest.name} took effect but returned {shortened(_repr(result), 1_000)}: {_problems(exc)}"
            )
            raise ToolError(INVALID_RESULT, shortened(message), retryable=False) from exc
        return value

    def trace_json(self, returned: object) -> "Found[Json] | NotFound":
        """What the lookup function returned, with the result of the call as checked JSON.

        Raises ToolError `invalid_result` if that is no result of this tool.
        """
        found = trace(returned)
        return found if isinstance(found, NotFound) else Found(self.result_json(found.result), found.evidence)


def tool(
    *,
    effect: Effect,
    timeout_ms: int = DEFAULT_TIMEOUT_MS,
    description: str = "",
    name: str = "",
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    lookup: Callable[..., Any] | None = None,
    visibility_lag: str | int = 0,
    key_lifetime: str | int = 0,
    reversible: bool = False,
) -> Callable[[Callable[P, R]], Tool[P, R]]:
    """Declare a sync or async function as a tool.

    The function takes either one pydantic model or annotated parameters, and has a return annotation. A parameter
    annotated `ToolCall` is injected by the engine and no part of the schema. `name` and `description` default to the
    function's name and docstring. An async function must not block; a sync one runs in a thread, which cannot be
    stopped, so its own timeouts should be shorter than `timeout_ms`, and long ones should look at `call.cancelled`.

    `lookup` is a sync or async function that finds out whether a call took effect of which nobody knows, by the effect
    key of its own `ToolCall` parameter and any of the tool's parameters, with the same names and annotations. It
    returns the call's result, or None; `Found` and `NotFound` say so with evidence, and tell a result that is None. It
    must change nothing. Whatever it raises leaves the question to a person. `visibility_lag` (`20s`, or ms) is how long
    after the effect its traces may be missing: a call is made again only if a search later than that finds none.

    `key_lifetime` (`24h`, or ms) is how long the other side of a `keyed` tool remembers effect keys; a call of unknown
    outcome is repeated within that time only, then searched for, or left to a person. `reversible` says that another
    call can undo this one: `holdfast lint` then asks steps that make it for their `compensate`.

    Raises ToolDefinitionError if the function has no manifest, or the lookup does not fit it.
    """

    def declare(function: Callable[P, R]) -> Tool[P, R]:
        tool_name = name or function.__name__
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except NameError as exc:
            raise ToolDefinitionError(f"{tool_name}: {exc}; annotate with names the module itself defines") from exc
        if "return" not in hints:
            raise ToolDefinitionError(f"{tool_name} needs a return annotation: it is the schema of the result")
        arguments = _arguments(tool_name, function, hints)
        try:
            result: TypeAdapter[Any] = TypeAdapter(hints["return"])
            manifest = ToolManifest(
                name=tool_name,
                description=description or inspect.getdoc(function) or "",
                effect=effect,
                input_schema=arguments.model.model_json_schema(),
                output_schema=result.json_schema(mode="serialization"),
                timeout_ms=timeout_ms,
                max_attempts=max_attempts,
                lookup=lookup is not None,
                visibility_lag_ms=parse_duration_ms(visibility_lag),
                key_lifetime_ms=parse_duration_ms(key_lifetime),
                reversible=reversible,
            )
        except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError) as exc:
            raise ToolDefinitionError(f"{tool_name}: an annotation has no JSON Schema: {exc}") from exc
        except ValueError as exc:  # a ManifestError, or a visibility lag that is no duration
            raise ToolDefinitionError(str(exc)) from exc
        search = lookup_for(tool_name, hints, lookup) if lookup is not None else None
        return Tool(function, manifest, arguments, result, search)

    return declare


def _arguments(tool_name: str, function: Callable[..., object], hints: Mapping[str, Any]) -> Arguments:
    """The plan for a function's parameters. Raises ToolDefinitionError if one of them can have no schema."""
    call_parameter = ""
    visible: dict[str, inspect.Parameter] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolDefinitionError(f"{tool_name}: parameter {parameter} must be a plain named one")
        if parameter.name not in hints:
            raise ToolDefinitionError(f"{tool_name}: parameter {parameter.name!r} needs an annotation")
        if is_call(hints[parameter.name]):
            call_parameter = parameter.name
        else:
            visible[parameter.name] = parameter
    if len(visible) == 1:
        ((only, _),) = visible.items()
        if isinstance(hints[only], type) and issubclass(hints[only], BaseModel):
            return Arguments(hints[only], only, call_parameter)
    fields: dict[str, Any] = {
        key: (hints[key], ... if parameter.default is parameter.empty else parameter.default)
        for key, parameter in visible.items()
    }
    try:
        model = create_model(f"{tool_name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    except (PydanticSchemaGenerationError, PydanticUserError, NameError) as exc:
        raise ToolDefinitionError(f"{tool_name}: a parameter has no JSON Schema: {exc}") from exc
    return Arguments(model, "", call_parameter)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as exc:
        return f"a {type(value).__name__} whose repr fails with {exc!r}"


def _problems(exc: Exception) -> str:
    if not isinstance(exc, ValidationError):
        return str(exc) or type(exc).__name__
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'value'}: {problem['msg']}"
        for problem in exc.errors(include_url=False, include_input=False)
    )
