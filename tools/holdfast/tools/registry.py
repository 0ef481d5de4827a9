"""The tools of a process, by name."""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from holdfast.tools.errors import ToolDefinitionError
from holdfast.tools.manifest import ToolManifest
from holdfast.tools.tool import Tool

AnyTool = Tool[Any, Any]


class RegistryError(Exception):
    """A registry cannot be made; the text says what to change."""


class ToolRegistry(Mapping[str, AnyTool]):
    """Tools by name. Raises RegistryError if two of them have one name."""

    def __init__(self, tools: Iterable[AnyTool] = ()) -> None:
        self._tools: dict[str, AnyTool] = {}
        for tool in tools:
            name = tool.manifest.name
            if self._tools.setdefault(name, tool) is not tool:
                places = " and ".join(_place(other) for other in (self._tools[name], tool))
                raise RegistryError(f"two tools are named {name!r}: {places}; give one of them another name=")

    def __getitem__(self, name: str) -> AnyTool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def manifests(self) -> dict[str, ToolManifest]:
        """The manifests by tool name."""
        return {name: tool.manifest for name, tool in self._tools.items()}


def registry_from_modules(modules: Sequence[str]) -> ToolRegistry:
    """The tools that the named modules declare or import at their top level.

    Raises RegistryError if a module cannot be imported, has no tools, or repeats a name.
    """
    return ToolRegistry([tool for name in modules for tool in _tools_of(_import(name))])


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        cure = "is it spelled right, and its folder on PYTHONPATH?" if exc.name and name.startswith(exc.name) else ""
        raise RegistryError(f"cannot import the tool module {name!r}: {exc}; {cure}".rstrip("; ")) from exc
    except ToolDefinitionError as exc:
        raise RegistryError(f"the tool module {name!r} declares a tool wrongly: {exc}") from exc
    except Exception as exc:
        raise RegistryError(f"the tool module {name!r} failed while it was imported: {exc!r}") from exc


def _tools_of(module: ModuleType) -> list[AnyTool]:
    tools = [value for value in vars(module).values() if isinstance(value, Tool)]
    if not tools:
        raise RegistryError(f"the module {module.__name__!r} has no tools: declare them with @tool at its top level")
    return tools


def _place(tool: AnyTool) -> str:
    return f"{tool.function.__module__}.{tool.function.__qualname__}"
