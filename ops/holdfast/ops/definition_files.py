"""What commands that take definition files need: their text, a project's tools, and how findings are shown."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.ops.errors import CommandError
from holdfast.ops.settings import load_settings
from holdfast.tools import RegistryError, registry_from_modules

if TYPE_CHECKING:
    from holdfast.streams.definition_file import Located


def text_of(file: Path) -> str:
    """The text of a file. Raises CommandError if it is not UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise CommandError(f"{file} is not UTF-8 text: {exc}", cure="save it as UTF-8") from exc


def manifests_of(modules: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The manifests of the tools that modules declare, and those of HOLDFAST_TOOL_MODULES, by name.

    Raises CommandError if a module cannot be used.
    """
    # Tools of a project usually lie where the command is typed.
    sys.path.insert(0, str(Path.cwd()))
    try:
        registry = registry_from_modules(tuple(dict.fromkeys((*load_settings().tool_modules, *modules))))
    except RegistryError as exc:
        raise CommandError(str(exc), cure="correct the module, --tools, or HOLDFAST_TOOL_MODULES") from exc
    return {name: dict(manifest.to_json()) for name, manifest in registry.manifests().items()}


def finding_rows(found: "Sequence[Located]") -> list[dict[str, Any]]:
    """Findings about a file as commands print them with --json."""
    return [
        {
            "line": at.line,
            "column": at.column,
            "severity": at.problem.severity.value,
            "rule": at.problem.rule,
            "place": ".".join(map(str, at.problem.path)),
            "message": at.problem.message,
            "cure": at.problem.cure,
        }
        for at in found
    ]


def finding_line(file: str, row: Mapping[str, Any]) -> str:
    """A finding about a file, for people and for editors that jump to `file:line:column`."""
    place = f"{file}:{row['line']}:{row['column']}"
    return f"{place}: {row['severity']} {row['rule']}: {row['place'] or 'file'}: {row['message']} ({row['cure']})"
