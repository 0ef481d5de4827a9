"""The classic control-flow patterns in memory, and the page that lists them."""

from pathlib import Path
from typing import Any

import pytest

from support.patterns import CHILD, PATTERNS, PLAYED, Pattern, Steps
from support.scenario import define
from support.town import Town

PAGE = Path(__file__).parents[3] / "docs" / "patterns.md"
BEGIN, END = "<!-- patterns -->", "<!-- /patterns -->"


def running(steps: Steps, value: Any = None, **more: Any) -> Town:
    definition = define(steps, children={"child": CHILD.hash}, **more)
    town = Town.of(CHILD, definition)
    town.start(definition, value=value)
    return town


def page() -> str:
    rows = ["| # | pattern | supported | how |", "|---|---|---|---|"]
    for pattern in PATTERNS:
        supported, how = "yes" if pattern.play else "no", pattern.how.removeprefix("no: ")
        rows.append(f"| {pattern.number or ''} | {pattern.name} | {supported} | {how} |")
    return "\n".join(rows)


@pytest.mark.parametrize("pattern", PLAYED, ids=[pattern.name for pattern in PLAYED])
def test_a_pattern_works_as_its_name_says(pattern: Pattern) -> None:
    assert pattern.play is not None
    pattern.play(running)


def test_the_page_lists_the_patterns() -> None:
    assert PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip() == page()
