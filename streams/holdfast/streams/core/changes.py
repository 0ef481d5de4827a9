"""Values that a fork has in place of others, by path: `input.a.b`, `steps.NAME.output.a`, `vars.NAME`."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.schemas.record import Json


class InvalidPath(Exception):
    """A path leads to nothing that can be changed."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """What expressions of a workflow see: its input, the outputs of steps, variables."""

    input: Json
    outputs: Mapping[str, Json]
    variables: Mapping[str, Json]


def with_changes(values: Values, changes: Json) -> Values:
    """The values after all changes, the shorter paths first. Raises InvalidPath."""
    if changes is None:
        return values
    if not isinstance(changes, dict):
        raise InvalidPath("changes are an object of values by path")
    for path in sorted(changes, key=lambda path: (path.count("."), path)):
        values = _with_change(values, path, path.split("."), changes[path])
    return values


def _with_change(values: Values, path: str, parts: list[str], value: Json) -> Values:
    given = {"input": values.input, "outputs": values.outputs, "variables": values.variables}
    match parts:
        case ["input", *rest]:
            given["input"] = _put(values.input, rest, value, path)
        case ["steps", step, "output", *rest] if step in values.outputs or not rest:
            given["outputs"] = {**values.outputs, step: _put(values.outputs.get(step), rest, value, path)}
        case ["vars", name, *rest] if name in values.variables or not rest:
            given["variables"] = {**values.variables, name: _put(values.variables.get(name), rest, value, path)}
        case _:
            raise InvalidPath(f"{path} leads to no input, output of a step that has ended, or variable")
    return Values(**given)  # type: ignore[arg-type]


def _put(old: Json, rest: list[str], value: Json, path: str) -> Json:
    if not rest:
        return value
    key, *deeper = rest
    if isinstance(old, dict) and (key in old or not deeper):
        return {**old, key: _put(old.get(key), deeper, value, path)}
    if isinstance(old, list) and key.isdecimal() and int(key) < len(old):
        return [_put(item, deeper, value, path) if place == int(key) else item for place, item in enumerate(old)]
    raise InvalidPath(f"{path} leads through something that has no {key}")
