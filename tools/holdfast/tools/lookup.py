"""Searching for traces of a call of which nobody knows whether it took effect."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from holdfast.tools.call import ToolCall
from holdfast.tools.errors import ToolDefinitionError

T = TypeVar("T")


@dataclass(frozen=True)
class Found(Generic[T]):
    """The call took effect with this result. `evidence` says where that was seen, for the record."""

    result: T
    evidence: str = ""


@dataclass(frozen=True)
class NotFound:
    """No trace of the call was found. `evidence` says where it was looked for, for the record."""

    evidence: str = ""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """A lookup function that fits its tool: which of the tool's parameters it takes, and which one the ToolCall."""

    function: Callable[..., Any]
    parameters: frozenset[str]
    call_parameter: str

    @property
    def is_async(self) -> bool:
        """True if the function returns a coroutine."""
        return inspect.iscoroutinefunction(self.function)

    def bind(self, arguments: Mapping[str, Any], call: ToolCall) -> dict[str, Any]:
        """The keyword arguments of the function, out of those of the tool."""
        bound = {name: arguments[name] for name in self.parameters}
        return {**bound, self.call_parameter: call} if self.call_parameter else bound


def trace(returned: object) -> "Found[Any] | NotFound":
    """What a lookup function says: None is no trace, and what is neither Found nor NotFound is the call's result."""
    if isinstance(returned, Found | NotFound):
        return returned
    return NotFound() if returned is None else Found(returned)


def lookup_for(tool_name: str, hints: Mapping[str, Any], function: Callable[..., Any]) -> Lookup:
    """The lookup of a tool whose parameters are annotated like this.

    Raises ToolDefinitionError if the function has parameters that the tool has not, or no return annotation.
    """
    name = f"the lookup {getattr(function, '__name__', function)!s} of {tool_name}"
    try:
        own = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as exc:
        raise ToolDefinitionError(f"{name}: {exc}; annotate with names the module itself defines") from exc
    if "return" not in own:
        raise ToolDefinitionError(f"{name} needs a return annotation: the tool's result, or None if nothing is found")
    call_parameter, taken = "", set()
    for parameter in inspect.signature(function).parameters.values():
        if is_call(own.get(parameter.name)):
            call_parameter = parameter.name
        elif parameter.name in hints and own.get(parameter.name) == hints[parameter.name]:
            taken.add(parameter.name)
        else:
            raise ToolDefinitionError(f"{name}: the tool has no parameter {parameter}: it is called like the tool")
    return Lookup(function=function, parameters=frozenset(taken), call_parameter=call_parameter)


def is_call(annotation: object) -> bool:
    """True for a parameter that the engine fills: `ToolCall`, alone or in a union."""
    return annotation is ToolCall or ToolCall in typing.get_args(annotation)
