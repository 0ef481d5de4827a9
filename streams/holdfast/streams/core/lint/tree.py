"""The syntax tree of a CEL expression.

The library gives it as serialised `cel.expr.CheckedExpr`, a public protobuf message of the CEL specification
(`cel/expr/syntax.proto`, `checked.proto`); the parts of it that are needed are described here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from holdfast.schemas.record import Json
from holdfast.streams.core.expressions import serialized_tree


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal text, number, truth value or null; other literals are `None` as well."""

    value: Json


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`; with `tested` it is `has(operand.field)`."""

    operand: "Tree"
    field: str
    tested: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator (`_&&_`, `_[_]`, `@in`, `size`) and its operands, the one before the dot first."""

    function: str
    operands: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Parts:
    """A list or map that the expression writes out, by what it is made of."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Fold:
    """A loop (`all`, `exists`, `map`, `filter`): what it goes over, the names that it binds, and what it evaluates."""

    over: "Tree"
    names: frozenset[str]
    parts: "tuple[Tree, ...]"


Tree = Constant | Name | Select | Call | Parts | Fold


def tree_of(source: str) -> Tree:
    """The tree of an expression. Raises ExpressionError if it does not compile."""
    wrapped = _CLASSES["Any"].FromString(serialized_tree(source))
    return _read(_CLASSES["CheckedExpr"].FromString(wrapped.value).expr)


def _read(expr: Any) -> Tree:
    kind = next((field.name for field, _ in expr.ListFields() if field.name in _READERS), "const")
    return _READERS[kind](getattr(expr, kind))


def _all(exprs: Any) -> tuple[Tree, ...]:
    return tuple(_read(expr) for expr in exprs)


def _constant(const: Any) -> Tree:
    return Constant(next((value for _, value in const.ListFields()), None))


def _call(call: Any) -> Tree:
    target = _all([call.target]) if call.HasField("target") else ()
    return Call(call.function, (*target, *_all(call.args)))


def _struct(struct: Any) -> Tree:
    return Parts(_all(part for entry in struct.entries for part in (entry.map_key, entry.value)))


def _fold(fold: Any) -> Tree:
    names = frozenset({fold.iter_var, fold.iter_var2, fold.accu_var})
    parts = _all((fold.accu_init, fold.loop_condition, fold.loop_step, fold.result))
    return Fold(_read(fold.iter_range), names, parts)


_READERS = {
    "const": _constant,
    "ident": lambda ident: Name(ident.name),
    "select": lambda select: Select(_read(select.operand), select.field, select.test_only),
    "call": _call,
    "list": lambda created: Parts(_all(created.elements)),
    "struct": _struct,
    "comprehension": _fold,
}

# message -> field -> (number, type); a type in brackets is repeated.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Any": {"value": (2, "bytes")},
    "CheckedExpr": {"expr": (4, "Expr")},
    "Expr": {
        "const": (3, "Constant"),
        "ident": (4, "Ident"),
        "select": (5, "Select"),
        "call": (6, "Call"),
        "list": (7, "CreateList"),
        "struct": (8, "CreateStruct"),
        "comprehension": (9, "Comprehension"),
    },
    "Constant": {"bool_value": (2, "bool"), "int64_value": (3, "int64"), "string_value": (6, "string")},
    "Ident": {"name": (1, "string")},
    "Select": {"operand": (1, "Expr"), "field": (2, "string"), "test_only": (3, "bool")},
    "Call": {"target": (1, "Expr"), "function": (2, "string"), "args": (3, "[Expr]")},
    "CreateList": {"elements": (1, "[Expr]")},
    "CreateStruct": {"entries": (2, "[Entry]")},
    "Entry": {"map_key": (3, "Expr"), "value": (4, "Expr")},
    "Comprehension": {
        "iter_var": (1, "string"),
        "iter_range": (2, "Expr"),
        "accu_var": (3, "string"),
        "accu_init": (4, "Expr"),
        "loop_condition": (5, "Expr"),
        "loop_step": (6, "Expr"),
        "result": (7, "Expr"),
        "iter_var2": (8, "string"),
    },
}


def _classes() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="tree.proto", package="tree", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, written) in fields.items():
            described = message.field.add(name=field, number=number)
            described.label = described.LABEL_REPEATED if written.startswith("[") else described.LABEL_OPTIONAL
            kind = written.strip("[]")
            if kind in _MESSAGES:
                described.type, described.type_name = described.TYPE_MESSAGE, f".tree.{kind}"
            else:
                described.type = getattr(described, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tree.{name}")) for name in _MESSAGES}


_CLASSES = _classes()
