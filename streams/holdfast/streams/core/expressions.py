"""CEL expressions and the templates that hold them.

The variables are `input`, `steps.<name>.output`, `vars` and `workflow` (id, tenant, definition). Expressions have no
I/O and an iteration budget. An evaluation error comes back from the library as a *value* of type ERROR; here it
becomes an ExpressionError.
"""

import re
from collections.abc import Callable, Mapping

from cel_expr_python import cel

from holdfast.schemas import jsontext
from holdfast.schemas.record import Json

Scope = Mapping[str, Json]
Template = Callable[[Scope], Json]

_DYNAMIC = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_ENVIRONMENT = cel.NewEnv(variables={"input": cel.Type.DYN, "steps": _DYNAMIC, "vars": _DYNAMIC, "workflow": _DYNAMIC})
_JSON_TYPES = frozenset({"BOOL", "INT", "UINT", "DOUBLE", "STRING", "NULL_TYPE", "NULL", "DYN"})
_LOCATION = re.compile(r"<input>:(\d+):(\d+): ")


class ExpressionError(Exception):
    """An expression does not compile, or its evaluation failed."""


def compile_expression(source: str) -> Template:
    """A function from a scope to the value of a CEL expression.

    Raises ExpressionError if the expression does not compile; the function raises it if evaluation fails.
    """
    expression = _compiled(source)

    def evaluate(scope: Scope) -> Json:
        try:
            value = expression.eval(data=scope)
        except RuntimeError as exc:  # the iteration budget, and values that CEL has no type for
            raise ExpressionError(f"`{source}` failed: {exc}") from None
        kind = value.type().name()
        if kind == "ERROR":
            raise ExpressionError(f"`{source}` failed: {value.plain_value()}")
        if kind not in _JSON_TYPES and not kind.startswith(("MAP", "LIST")):
            raise ExpressionError(f"`{source}` gives a {kind}, which is not JSON: wrap it in string(...)")
        result: Json = value.plain_value()
        return result

    return evaluate


def serialized_tree(source: str) -> bytes:
    """The syntax tree of an expression: a `google.protobuf.Any` that holds a `cel.expr.CheckedExpr`.

    Raises ExpressionError if the expression does not compile.
    """
    tree: bytes = _compiled(source).serialize()
    return tree


def compile_template(template: Json) -> Template:
    """A function from a scope to the template's value, with every `${...}` in it evaluated.

    A string that is one placeholder takes the expression's value as it is; within longer text, values that are not
    strings appear as JSON. Raises ExpressionError like compile_expression.
    """
    if isinstance(template, str):
        return _compile_text(template)
    if isinstance(template, list):
        items = [compile_template(item) for item in template]
        return lambda scope: [item(scope) for item in items]
    if isinstance(template, dict):
        entries = {key: compile_template(value) for key, value in template.items()}
        return lambda scope: {key: value(scope) for key, value in entries.items()}
    return lambda _scope: template


def expressions_in(template: Json) -> list[str]:
    """The sources of all placeholders in a template."""
    if isinstance(template, str):
        return [part for odd, part in enumerate(_split(template)) if odd % 2]
    if isinstance(template, list):
        return [source for item in template for source in expressions_in(item)]
    if isinstance(template, dict):
        return [source for value in template.values() for source in expressions_in(value)]
    return []


def _compiled(source: str) -> cel.Expression:
    try:
        return _ENVIRONMENT.compile(source)
    except RuntimeError as exc:
        raise ExpressionError(_compile_error(source, str(exc))) from None


def _compile_text(text: str) -> Template:
    parts = _split(text)
    if len(parts) == 1:
        return lambda _scope: text
    compiled = [compile_expression(part) if odd % 2 else part for odd, part in enumerate(parts)]
    if len(parts) == 3 and not parts[0] and not parts[2]:
        whole = compiled[1]
        assert callable(whole)
        return whole
    return lambda scope: "".join(part if isinstance(part, str) else _as_text(part(scope)) for part in compiled)


def _split(text: str) -> list[str]:
    """Literal, expression, literal, ...: braces and quotes inside an expression are respected."""
    parts, at = [], 0
    while (start := text.find("${", at)) >= 0:
        end = _closing_brace(text, start + 2)
        parts += [text[at:start], text[start + 2 : end]]
        at = end + 1
    return [*parts, text[at:]]


def _closing_brace(text: str, at: int) -> int:
    depth, quote = 1, ""
    for position in range(at, len(text)):
        char = text[position]
        if quote:
            quote = "" if char == quote and text[position - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        else:
            depth += {"{": 1, "}": -1}.get(char, 0)
            if depth == 0:
                return position
    raise ExpressionError(f"`{text}`: the ${{ at column {at - 1} is not closed")


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value)


def _compile_error(source: str, text: str) -> str:
    match = _LOCATION.search(text)
    if match is None:
        return f"`{source}` is not a CEL expression: {text}"
    reason = text[match.end() :].partition("\n")[0].partition(" (in container")[0]
    return f"`{source}`, column {match[2]}: {reason}"
