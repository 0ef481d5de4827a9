"""What the documents say about the code, in tables, pictures and links: they must say it rightly."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.streams.core import definition as d
from holdfast.streams.core.model import Model
from holdfast.streams.core.transitions import TRANSITIONS
from support import documents, state_diagram, step_kinds
from support.tidy import ROOT

ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def table_between(start: str, end: str) -> list[list[str]]:
    text = ARCHITECTURE.partition(start)[2].partition(end)[0]
    lines = [line.strip().strip("|").split("|") for line in text.strip().splitlines()[2:]]
    return [[cell.strip() for cell in cells] for cells in lines]


def test_the_states_table_is_the_transition_table() -> None:
    written = {cells[0]: set(cells[1].split(", ")) - {"-"} for cells in table_between("<!-- transitions -->", "<!--")}
    assert written == {status.value: {s.value for s in after} for status, after in TRANSITIONS.items()}


TRANSITION_PAIRS = {(status.value, s.value) for status, after in TRANSITIONS.items() for s in after}


def test_the_picture_of_the_states_says_what_the_transition_table_says() -> None:
    flow = state_diagram.diagram().flow
    assert state_diagram.ways_of(flow) == TRANSITION_PAIRS
    for missing in range(1, len(flow.edges)):  # the first one leads to where a workflow begins
        fewer = replace(flow, edges=flow.edges[:missing] + flow.edges[missing + 1 :])
        assert state_diagram.ways_of(fewer) != TRANSITION_PAIRS


@pytest.mark.parametrize("name", documents.MADE)
def test_what_is_made_from_the_code_is_what_the_code_makes(name: str) -> None:
    written = (ROOT / name).read_text(encoding="utf-8")
    assert written == documents.MADE[name](), f"{name} is out of date: {documents.COMMAND}"


def test_what_is_out_of_date_is_written_again_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert documents.write(tmp_path) == list(documents.MADE)
    (tmp_path / step_kinds.PAGE).write_text("old")
    assert documents.write(tmp_path) == [step_kinds.PAGE]
    assert documents.write(tmp_path) == []


def test_the_page_of_steps_has_every_kind_and_says_what_every_field_is_for() -> None:
    page = step_kinds.render()
    for cls in step_kinds.STEPS:
        assert f"### `{step_kinds.kind(cls)}`" in page
    for cls in step_kinds.parts():
        assert f"### {cls.__name__}" in page
    assert {d.Retry, d.AwaitedEvent, d.Compensate} <= set(step_kinds.parts())
    assert "| `max_turns` | whole number, 1 to 200 | `8` |" in page
    assert "| `timeout` | duration | `10m` |" in page


def test_a_field_of_which_nobody_says_what_it_is_for_is_noticed() -> None:
    class Told(Model):
        told: str = ""
        """What it is."""

    class Untold(Told):
        untold: int = 1

    assert list(step_kinds.fields(Told)) == ['| `told` | text | `""` | What it is. |']
    with pytest.raises(KeyError, match="untold"):
        list(step_kinds.fields(Untold))


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        re.split(r"[\[=><]", requirement)[0].strip()
        for requirement in (*project["dependencies"], *project["optional-dependencies"]["embedded"])
    }
    section = ARCHITECTURE.partition("## Dependencies")[2]
    named = {name.strip() for line in section.splitlines()[4:] if line for name in line.split("|")[1].split(",")}
    assert named == declared


def test_every_file_that_the_documents_name_exists() -> None:
    for document in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")):
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (document.parent / target).exists(), f"{document} links to {target}"
