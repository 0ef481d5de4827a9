"""`$ref` in JSON Schemas: what it leads to. Only references within the same schema are followed; nothing is fetched."""

from collections.abc import Iterator

from holdfast.schemas.record import Json

_DATA = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose values are data, in which `$ref` is a name like any other."""


def target_of(root: Json, reference: str) -> Json:
    """What a reference leads to within a schema; None if there is no such place."""
    if reference.startswith("#") and not reference.startswith("#/") and reference != "#":
        return next((node for node in _nodes(root) if node.get("$anchor") == reference[1:]), None)
    value = root if reference.startswith("#") else None
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def dangling(schema: Json) -> list[str]:
    """The references of a schema that lead nowhere within it. One that renames itself by `$id` is not looked at."""
    nodes = list(_nodes(schema))
    if any("$id" in node for node in nodes):
        return []
    references = {reference for node in nodes if isinstance(reference := node.get("$ref"), str)}
    return sorted(reference for reference in references if target_of(schema, reference) is None)


def _nodes(schema: Json) -> Iterator[dict[str, Json]]:
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key not in _DATA:
                yield from _nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _nodes(value)
