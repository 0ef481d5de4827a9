"""Shapes: what a JSON Schema says about the names and types within a value, as far as expressions can use it.

A shape never promises more than the schema: whatever it leaves open is `ANY`. An object whose schema lists
`properties` has these and no others, unless it allows others in so many words (`additionalProperties: true`, or a
schema there): a name that nobody declared is far more often a slip than a wish.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from holdfast.schemas.record import Json
from holdfast.streams.core.lint.references import target_of


class Kind(Enum):
    """What kind of JSON value it is. A `NUMBER` may be whole or not; `ANY` may be anything."""

    ANY = "any value"
    TEXT = "text"
    WHOLE = "a whole number"
    NUMBER = "a number"
    TRUTH = "true or false"
    NOTHING = "null"
    LIST = "a list"
    OBJECT = "an object"


@dataclass(eq=False, kw_only=True)
class Shape:
    """One value. `items` is what a list holds; `fields` are the names that an object has, None if it may have any.

    `label` is how to speak of it. Objects may contain themselves, so they are filled in after they are made.
    """

    kind: Kind
    label: str = ""
    nullable: bool = False
    items: "Shape | None" = None
    fields: "dict[str, Field] | None" = None


@dataclass(frozen=True, kw_only=True)
class Field:
    """A name of an object. One that is not `required` may be absent."""

    shape: Shape
    required: bool = True


ANY = Shape(kind=Kind.ANY)
TEXT = Shape(kind=Kind.TEXT)
WHOLE = Shape(kind=Kind.WHOLE)


def record(label: str, fields: Mapping[str, Shape]) -> Shape:
    """An object that always has these names."""
    return Shape(kind=Kind.OBJECT, label=label, fields={name: Field(shape=shape) for name, shape in fields.items()})


def listed(items: Shape) -> Shape:
    """A list of such values."""
    return Shape(kind=Kind.LIST, items=items)


def shape_of(schema: Json, label: str) -> Shape:
    """The shape that a JSON Schema (draft 2020-12) describes. Schemas that are not valid give `ANY`."""
    return _Reader(schema).read(schema, label)


_KINDS: Mapping[str, Kind] = {
    "string": Kind.TEXT,
    "integer": Kind.WHOLE,
    "number": Kind.NUMBER,
    "boolean": Kind.TRUTH,
    "null": Kind.NOTHING,
    "array": Kind.LIST,
    "object": Kind.OBJECT,
}
_COMBINING = frozenset({"$ref", "anyOf", "oneOf", "allOf"})
_OPENING = frozenset({"patternProperties", "if", "then", "else", "dependentSchemas", "$dynamicRef"})
"""Keywords beside `properties` that may bring further names."""
_PYTHON_KINDS: Mapping[type, Kind] = {
    str: Kind.TEXT,
    int: Kind.WHOLE,
    float: Kind.NUMBER,
    bool: Kind.TRUTH,
    type(None): Kind.NOTHING,
    list: Kind.LIST,
    dict: Kind.OBJECT,
}


def kind_of(value: Json) -> Kind:
    """The kind of a JSON value."""
    return _PYTHON_KINDS.get(type(value), Kind.ANY)


@dataclass
class _Reader:
    root: Json
    seen: dict[str, Shape] = field(default_factory=dict)

    def read(self, schema: Json, label: str) -> Shape:
        if not isinstance(schema, dict):
            return ANY
        if isinstance(reference := schema.get("$ref"), str):
            return self._referenced(reference, label)
        for combined in ("anyOf", "oneOf"):
            if isinstance(choices := schema.get(combined), list):
                return self._either([self.read(choice, label) for choice in choices])
        if isinstance(every := schema.get("allOf"), list):
            return self.read(every[0], label) if len(every) == 1 and len(schema) == 1 else ANY
        if isinstance(kinds := schema.get("type"), list):
            return self._either([self.read({**schema, "type": kind}, label) for kind in kinds])
        return self._typed(schema, label)

    def _typed(self, schema: dict[str, Json], label: str) -> Shape:
        if _is_object(schema):
            return self._fill(Shape(kind=Kind.OBJECT, label=label), schema)
        declared = schema.get("type")
        kind = _KINDS.get(declared, Kind.ANY) if isinstance(declared, str) else _kind_of_values(schema)
        uniform = kind is Kind.LIST and "prefixItems" not in schema
        return Shape(kind=kind, label=label, items=self.read(schema.get("items"), f"{label}[]") if uniform else None)

    def _fill(self, shape: Shape, schema: dict[str, Json]) -> Shape:
        properties, required = schema.get("properties"), schema.get("required")
        allows_others = schema.get("additionalProperties", False) is not False or _OPENING & schema.keys()
        if isinstance(properties, dict) and properties and not allows_others:
            always = required if isinstance(required, list) else []
            shape.fields = {
                name: Field(shape=self.read(value, f"{shape.label}.{name}"), required=name in always)
                for name, value in properties.items()
            }
        return shape

    def _referenced(self, reference: str, label: str) -> Shape:
        if reference in self.seen:
            return self.seen[reference]
        target = target_of(self.root, reference)
        if not isinstance(target, dict):
            return ANY
        if not _is_object(target):
            self.seen[reference] = ANY  # for a reference that leads to itself
            self.seen[reference] = self.read(target, label)
            return self.seen[reference]
        self.seen[reference] = shape = Shape(kind=Kind.OBJECT, label=label)
        return self._fill(shape, target)

    def _either(self, shapes: list[Shape]) -> Shape:
        given = [shape for shape in shapes if shape.kind is not Kind.NOTHING]
        nullable = len(given) < len(shapes)
        if not given:
            return Shape(kind=Kind.NOTHING)
        first = given[0]
        if len(given) == 1:
            return _nullable(first) if nullable else first
        if first.kind in (Kind.LIST, Kind.OBJECT) or any(other.kind is not first.kind for other in given):
            return ANY
        return Shape(kind=first.kind, label=first.label, nullable=nullable or any(other.nullable for other in given))


def _is_object(schema: dict[str, Json]) -> bool:
    declared = schema.get("type", "object" if "properties" in schema else None)
    return declared == "object" and not _COMBINING & schema.keys()


def _nullable(shape: Shape) -> Shape:
    # An object may be the target of a reference that is still being read: it must stay the same object.
    if shape.kind in (Kind.ANY, Kind.OBJECT):
        return shape
    return Shape(kind=shape.kind, label=shape.label, nullable=True, items=shape.items)


def _kind_of_values(schema: dict[str, Json]) -> Kind:
    values = schema["enum"] if isinstance(schema.get("enum"), list) else [schema["const"]] if "const" in schema else []
    kinds = {kind_of(value) for value in values} if isinstance(values, list) else set()
    only = kinds.pop() if len(kinds) == 1 else Kind.ANY
    return only if only in (Kind.TEXT, Kind.WHOLE, Kind.TRUTH) else Kind.ANY
