"""Every code that the engine can give is explained. The codes are read from the engine's own source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast.projections
import holdfast.schemas
import holdfast.streams
import holdfast.tools
from holdfast.ops.cures import EXPLANATIONS, cure_of
from holdfast.projections.store import TROUBLES
from holdfast.streams.core.definition import FailStep
from holdfast.streams.core.rejections import SENTENCES
from holdfast.tools import errors as tool_errors

ROOTS = (holdfast.streams, holdfast.tools, holdfast.schemas, holdfast.projections)
CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Where a call gives a code: name of the function -> place of the code among its arguments.
CODE_ARGUMENTS = {
    "fail": 1,
    "fail_workflow": 1,
    "block": 1,
    "_stop": 1,
    "_limit_reached": 2,
    "reject": 0,
    "Poison": 0,
    "DecodeError": 0,
    "_parked": 2,
    "_refuse": 2,
}
CODE_KEYWORDS = frozenset({"error_class", "code"})
NAMES_COLUMNS = "_mapped"


def sources() -> Iterator[ast.Module]:
    for root in ROOTS:
        for folder in root.__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                yield ast.parse(path.read_text(encoding="utf-8"))


def codes_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == NAMES_COLUMNS:
            continue
        given = [keyword.value for keyword in node.keywords if keyword.arg in CODE_KEYWORDS]
        given += [way for value in given if isinstance(value, ast.IfExp) for way in (value.body, value.orelse)]
        place = CODE_ARGUMENTS.get(name)
        if place is not None and len(node.args) > place:
            given.append(node.args[place])
        yield from (
            value.value
            for value in given
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and CODE.fullmatch(value.value)
        )


def constants_of(path: Path) -> Iterator[str]:
    """The values of a module's constants that look like codes."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            value = node.value.value
            if isinstance(value, str) and CODE.fullmatch(value):
                yield value


def given_codes() -> set[str]:
    outcomes = Path(next(iter(holdfast.streams.__path__))) / "executor" / "outcomes.py"
    assert tool_errors.__file__
    return {
        *SENTENCES,
        *(code for tree in sources() for code in codes_in(tree)),
        *constants_of(outcomes),
        *constants_of(Path(tool_errors.__file__)),
        *TROUBLES,
        FailStep(kind="fail").error,
    }


def test_the_search_finds_codes_of_every_sort() -> None:
    wanted = {"self_approval", "turn_limit", "outcome_unknown", "rate_limited", "tool_error", "lease_expired"}
    assert wanted | {"undecodable", "deadline_exceeded", "decision_diverged", "failed"} <= given_codes()


def test_every_code_of_the_engine_is_explained() -> None:
    assert given_codes() - EXPLANATIONS.keys() == set()


@pytest.mark.parametrize("code", sorted(EXPLANATIONS))
def test_an_explanation_is_a_sentence_and_says_what_to_do(code: str) -> None:
    known = EXPLANATIONS[code]
    assert known.meaning[0].isupper()
    assert known.meaning.endswith(".")
    assert known.cure


def test_commands_in_cures_exist() -> None:
    from typer.main import get_command

    from holdfast.ops.cli import build_app

    names = set(get_command(build_app()).commands)  # type: ignore[attr-defined]
    used = {name for known in EXPLANATIONS.values() for name in re.findall(r"`holdfast ([a-z-]+)", known.cure)}
    assert used
    assert used <= names


def test_a_code_of_a_tool_is_not_taken_for_one_of_the_engine() -> None:
    assert "not a code of the engine" in cure_of("customs_closed")
