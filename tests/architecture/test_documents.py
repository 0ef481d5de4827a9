"""Tables in ARCHITECTURE.md that repeat what the code says: they must repeat it rightly."""

import re
import tomllib
from pathlib import Path

from holdfast.streams.core.transitions import TRANSITIONS

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def table_between(start: str, end: str) -> list[list[str]]:
    text = ARCHITECTURE.partition(start)[2].partition(end)[0]
    lines = [line.strip().strip("|").split("|") for line in text.strip().splitlines()[2:]]
    return [[cell.strip() for cell in cells] for cells in lines]


def test_the_states_table_is_the_transition_table() -> None:
    written = {cells[0]: set(cells[1].split(", ")) - {"-"} for cells in table_between("<!-- transitions -->", "<!--")}
    assert written == {status.value: {s.value for s in after} for status, after in TRANSITIONS.items()}


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
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), f"{document} links to {target}"
