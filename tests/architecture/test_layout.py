"""One namespace in five folders: what must agree for that to work, and what goes into the wheel."""

import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from support.tidy import PORTIONS, ROOT, files_of_the_project, folder_table, folders

CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOOL = CONFIGURATION["tool"]
WHEEL = TOOL["hatch"]["build"]["targets"]["wheel"]
FILES = set(files_of_the_project())


def test_the_namespace_has_no_init() -> None:
    """One stray file would hide the other portions."""
    assert [path for path in FILES if path.parts[-2:] == ("holdfast", "__init__.py")] == []


@pytest.mark.parametrize("portion", PORTIONS)
def test_a_portion_is_a_typed_package(portion: str) -> None:
    package = Path(portion, "holdfast", portion)
    assert {package / "__init__.py", package / "py.typed"} <= FILES
    assert (ROOT / package / "py.typed").read_text() == ""


@pytest.mark.parametrize(
    ("where", "roots"),
    [
        ("hatch packages", [path.removesuffix("/holdfast") for path in WHEEL["packages"]]),
        ("hatch dev-mode-dirs", WHEEL["dev-mode-dirs"]),
        ("mypy_path", [path for path in TOOL["mypy"]["mypy_path"].split(":") if path != "tests"]),
        ("mypy files", [path for path in TOOL["mypy"]["files"] if path != "tests"]),
        ("ruff src", TOOL["ruff"]["src"]),
        ("import-linter", [name.removeprefix("holdfast.") for name in TOOL["importlinter"]["root_packages"]]),
        ("folders that have a portion", sorted({path.parts[0] for path in FILES if path.parts[1:2] == ("holdfast",)})),
    ],
)
def test_the_roots_agree_everywhere(where: str, roots: list[str]) -> None:
    assert sorted(roots) == sorted(PORTIONS), where


@pytest.fixture(scope="module")
def wheel() -> set[str]:
    """The paths in the wheel."""
    return {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}


def test_the_wheel_has_every_module_and_every_file_that_the_code_reads(wheel: set[str]) -> None:
    wanted = {".py", ".avsc", ".sql", ".typed", ".json", ".lock"}
    ours = [path for path in FILES if path.parts[1:2] == ("holdfast",) and path.suffix in wanted]
    assert {Path(*path.parts[1:]).as_posix() for path in ours} - wheel == set()


def test_the_wheel_has_one_top_level_and_no_configuration_of_tools(wheel: set[str]) -> None:
    assert {path.split("/")[0] for path in wheel} == {"holdfast"}
    assert [path for path in wheel if path.endswith("ruff.toml")] == []


README = """
| folder | what |
|---|---|
| `schemas` | what may be said |
| [`tools/`](tools) | what an agent may do |
"""


def test_the_folder_table_is_read_from_its_first_column() -> None:
    assert folder_table(README) == {"schemas", "tools"}
    assert folder_table("no table, but `code`") == set()


def test_the_readme_names_every_folder_and_no_other() -> None:
    assert folder_table((ROOT / "README.md").read_text(encoding="utf-8")) == folders()


def test_the_folders_of_the_project_are_known() -> None:
    assert folders() >= {*PORTIONS, "tests"}
