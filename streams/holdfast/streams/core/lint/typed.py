"""Checking an expression against shapes, with the CEL library's own type checker.

Each object shape becomes a protobuf message that the checker knows; what a shape leaves open is dynamic. The engine
evaluates the same expressions over plain JSON, where an object is a map and numbers of all kinds compare: what only
the messages forbid is no mistake.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, wrappers_pb2

from holdfast.streams.core.lint.shapes import Kind, Shape

_PACKAGE = "holdfast"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    Kind.TEXT: (_FIELD.TYPE_STRING, ".google.protobuf.StringValue"),
    Kind.WHOLE: (_FIELD.TYPE_INT64, ".google.protobuf.Int64Value"),
    Kind.TRUTH: (_FIELD.TYPE_BOOL, ".google.protobuf.BoolValue"),
}
_DYNAMIC = ".google.protobuf.Value"
_RESULTS = {
    "BOOL": Kind.TRUTH,
    "INT": Kind.WHOLE,
    "UINT": Kind.WHOLE,
    "DOUBLE": Kind.NUMBER,
    "STRING": Kind.TEXT,
    "NULL": Kind.NOTHING,
    "DYN": Kind.ANY,
}


@dataclass(frozen=True, slots=True)
class UnknownField:
    """An expression names a field that an object does not have."""

    owner: Shape
    field: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An operator or function is applied to types that it does not take; `text` says it in a sentence."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the checker says: the mistakes, and the kind of the value; None for a value that is not JSON."""

    mistakes: tuple[UnknownField | Mismatch, ...] = ()
    kind: Kind | None = Kind.ANY
    written: str = ""


class TypedEnvironment:
    """The variables that expressions see, with their shapes."""

    def __init__(self, variables: Mapping[str, Shape]) -> None:
        self.variables = variables
        self._messages: dict[str, Shape] = {}
        self._names: dict[int, str] = {}
        self._file = descriptor_pb2.FileDescriptorProto(
            name="shapes.proto",
            package=_PACKAGE,
            syntax="proto2",
            dependency=[struct_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name],
        )
        types = {name: self._variable(shape) for name, shape in variables.items()}
        pool = descriptor_pool.DescriptorPool()
        for file in (struct_pb2, wrappers_pb2):
            pool.AddSerializedFile(file.DESCRIPTOR.serialized_pb)
        pool.AddSerializedFile(self._file.SerializeToString())
        self._environment = cel.NewEnv(descriptor_pool=pool, variables=types)

    def check(self, source: str) -> Verdict:
        """The verdict on an expression that compiles without shapes."""
        try:
            written = self._environment.compile(source).return_type().name()
        except RuntimeError as exc:
            return Verdict(mistakes=tuple(dict.fromkeys(self._mistakes(str(exc)))))
        return Verdict(kind=self._kind(written), written=written)

    def _kind(self, written: str) -> Kind | None:
        if written.startswith("LIST"):
            return Kind.LIST
        if written.startswith("MAP") or written in self._messages:
            return Kind.OBJECT
        return _RESULTS.get(written)

    def _mistakes(self, text: str) -> Iterator[UnknownField | Mismatch]:
        for line in _ERROR.findall(text):
            if match := _UNDEFINED.match(line):
                yield UnknownField(self._messages[match[2]], match[1])
            elif (match := _NO_OVERLOAD.match(line)) and not _allowed(match[1], match[2]):
                yield Mismatch(f"{_operator(match[1])} cannot be applied to ({_types(match[2])})")
            elif (match := _NO_FIELDS.match(line)) and not _is_open(match[1]):
                yield Mismatch(f"a value of type {_types(match[1])} has no fields")
            elif (match := _NO_RANGE.match(line)) and not _is_open(match[1]):
                yield Mismatch(f"a value of type {_types(match[1])} is not a list or an object")

    def _variable(self, shape: Shape) -> cel.Type:
        if message := self._message(shape):
            return cel.Type(message)
        if shape.kind is Kind.OBJECT:
            return cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        return cel.Type.DYN

    def _message(self, shape: Shape) -> str:
        """The name of the message of an object; empty if it has none: what it may contain is open, or unspeakable."""
        if shape.fields is None or not all(_IDENTIFIER.fullmatch(name) for name in shape.fields):
            return ""
        if (known := self._names.get(id(shape))) is not None:
            return known
        name = f"Shape{len(self._names)}"
        self._names[id(shape)] = full = f"{_PACKAGE}.{name}"
        self._messages[full] = shape
        message = self._file.message_type.add(name=name)
        for number, (field, declared) in enumerate(shape.fields.items(), start=1):
            described = message.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
            self._describe(described, declared.shape)
        return full

    def _describe(self, field: descriptor_pb2.FieldDescriptorProto, shape: Shape) -> None:
        field.type, named = self._type(shape)
        if shape.kind is Kind.LIST and shape.items is not None and not shape.nullable:
            field.label = _FIELD.LABEL_REPEATED
            field.type, named = self._type(shape.items)
        if named:
            field.type_name = named

    def _type(self, shape: Shape) -> tuple[int, str]:
        if message := self._message(shape):
            return _FIELD.TYPE_MESSAGE, f".{message}"
        if shape.kind in _SCALARS:
            scalar, wrapper = _SCALARS[shape.kind]
            return (_FIELD.TYPE_MESSAGE, wrapper) if shape.nullable else (scalar, "")
        if shape.kind is Kind.OBJECT:
            return _FIELD.TYPE_MESSAGE, ".google.protobuf.Struct"
        if shape.kind is Kind.LIST and not shape.nullable:
            return _FIELD.TYPE_MESSAGE, ".google.protobuf.ListValue"
        return _FIELD.TYPE_MESSAGE, _DYNAMIC


# How the checker words its findings; a test compares.
_ERROR = re.compile(r"ERROR: <input>:\d+:\d+: (.*)")
_UNDEFINED = re.compile(r"undefined field '(.*)' not found in struct '(.*)'")
_NO_OVERLOAD = re.compile(r"found no matching overload for '(.*)' applied to '\((.*)\)'")
_NO_FIELDS = re.compile(r"expression of type '(.*)' cannot be the operand of a select operation")
_NO_RANGE = re.compile(r"expression of type '(.*)' cannot be the range of a comprehension")
_NUMBER = r"(?:wrapper\()?(?:int|uint|double)\)?"
_NUMBERS = re.compile(rf"{_NUMBER}, (?:list\({_NUMBER}\)|{_NUMBER})")
_COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in"})
_MESSAGE = re.compile(rf"{_PACKAGE}\.Shape\d+")


def _allowed(function: str, types: str) -> bool:
    """True if the engine can do it all the same."""
    if _is_open(types):
        return True
    if function in ("_==_", "_!=_") and "null_type" in types:
        return True
    return function in _COMPARISONS and _NUMBERS.fullmatch(types) is not None


def _is_open(types: str) -> bool:
    """True if an object is among the types, or what comes of another mistake."""
    return "*error*" in types or _MESSAGE.search(types) is not None


def _operator(function: str) -> str:
    return f"`{function.replace('@', '').strip('_').replace('_', '') or function}`"


def _types(written: str) -> str:
    return _MESSAGE.sub("object", written).replace("wrapper(", "(nullable ")
