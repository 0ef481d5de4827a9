"""Every rule finds its mistake, on the line where it is, and lets what is nearly the same pass.

The definitions stand in `lint_cases/`, by rule. In a `bad` one `#<` marks every line that the rule names, and no other
rule says anything; about a `good` one no rule says anything. Name, deadline and `start: a` are put before them unless
they are `raw` or say it themselves.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.streams.core.lint.company_rules import COMPANY_RULES
from holdfast.streams.core.lint.form import FORM_RULES, SIZE_LIMIT_BYTES
from holdfast.streams.core.lint.table import RULES
from holdfast.streams.core.startable import Startable
from holdfast.streams.definition_file import Located
from holdfast.streams.definition_set import inspect_definitions
from support.scenario import manifest

FOLDER = Path(__file__).parent / "lint_cases"
CASES: dict[str, Any] = {
    rule: case
    for path in sorted(FOLDER.glob("*.yaml"))
    for rule, case in yaml.safe_load(path.read_text(encoding="utf-8")).items()
}
HEAD = {"name": "test", "deadline": "1h", "start": "a"}
MARK = "#<"
LOOK: dict[str, Any] = {
    **manifest("look"),
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "output_schema": {
        "type": "object",
        "properties": {
            "order": {"type": "string"},
            "cents": {"type": "integer"},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["order", "cents", "lines"],
        "$defs": {"Line": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}},
    },
}
TOOLS: dict[str, dict[str, Any]] = {
    "look": LOOK,
    "send": manifest("send", "keyed"),
    "book": {**manifest("book", "keyed"), "reversible": True},
    "pay": manifest("pay", "once"),
    "file": manifest("file", "lookup"),
    "search": {**manifest("search", "lookup"), "lookup": True},
    "render": manifest("render", "keyed", timeout_ms=20 * 60_000),
}
INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
PUBLISHED = {
    "other": Startable(hash="hash-of-other", input={}),
    "counted": Startable(hash="hash-of-counted", input=INPUT),
}
BESIDE = {"beside.yaml": "name: beside\ndeadline: 1h\nstart: a\nsteps:\n  a: {kind: succeed}\n"}


def whole(text: str, raw: bool) -> str:
    head = "" if raw else "".join(f"{k}: {v}\n" for k, v in HEAD.items() if not re.search(rf"^{k}:", text, re.M))
    return head + text


def found_in(text: str) -> tuple[Located, ...]:
    return inspect_definitions({**BESIDE, "test.yaml": text}, TOOLS, PUBLISHED)["test.yaml"].findings


def test_every_rule_has_a_bad_and_a_good_example() -> None:
    names = [rule.name for rules in (FORM_RULES, RULES, COMPANY_RULES) for rule in rules]
    assert len(set(names)) == len(names)
    assert {*CASES, "too_large"} == set(names)


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_finds_its_mistake(rule: str) -> None:
    text = whole(CASES[rule]["bad"], CASES[rule].get("raw", False))
    marked = [number for number, line in enumerate(text.splitlines(), start=1) if MARK in line]
    found = found_in(text)
    assert {at.problem.rule for at in found} == {rule}, [str(at.problem) for at in found]
    assert marked
    assert sorted({at.line for at in found}) == marked


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_lets_pass_what_is_right(rule: str) -> None:
    found = found_in(whole(CASES[rule]["good"], CASES[rule].get("raw", False)))
    assert [(at.line, at.problem.rule, at.problem.message) for at in found] == []


def test_a_file_that_is_too_large_is_refused() -> None:
    text = whole("steps:\n  a: {kind: succeed}\n", raw=False)
    padded = text + "#" * (SIZE_LIMIT_BYTES - len(text))
    assert found_in(padded) == ()
    assert [at.problem.rule for at in found_in(padded + "#")] == ["too_large"]
