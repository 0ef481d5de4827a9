"""Habits that a machine can watch. Each check is shown a bad example as well."""

import tomllib
from pathlib import Path

import pytest

from support import tidy
from support.tidy import PORTIONS, ROOT

FILES = list(tidy.files_of_the_project())
LOCK = "requirements.lock"
BINARY = {".bin", ".jar", ".png", ".ico"}
# Where a person is spoken to: everything else returns values or raises.
MAY_PRINT = Path("ops/holdfast/ops/console.py")


def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def product() -> list[Path]:
    return tidy.python_files(*PORTIONS)


def test_the_files_of_the_project_are_found() -> None:
    assert Path("pyproject.toml") in FILES
    assert len(product()) > 50


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = {path: tidy.foreign_names(text_of(path)) for path in FILES if path.suffix not in BINARY}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "https://pypi" + ".org/simple",
        "--" + "index-url x",
        "/work" + "/main/x",
        "/root" + "/.cache",
        "/home" + "/ann/x",
    ],
)
def test_a_foreign_name_is_noticed(text: str) -> None:
    assert tidy.foreign_names(text)


@pytest.mark.parametrize(
    "text", ["https://kafka.apache.org", "tests/unit", "/network/", "/tmp/x", "/home/holdfast/data"]
)
def test_a_harmless_name_is_not(text: str) -> None:
    assert tidy.foreign_names(text) == []


def test_reminders_have_a_number() -> None:
    found = {path: tidy.reminders(text_of(path)) for path in FILES if path.suffix not in BINARY}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_reminder_without_a_number_is_noticed() -> None:
    assert tidy.reminders("# TO" + "DO: later") == ["TO" + "DO"]
    assert tidy.reminders("# TO" + "DO(#12): later") == []


def test_only_the_console_prints() -> None:
    assert {path for path in product() if tidy.prints(text_of(path))} <= {MAY_PRINT}
    assert tidy.prints("x = 1\nprint(x)") == [2]
    assert tidy.prints("console.print(x)") == []


def test_no_except_is_bare() -> None:
    assert {path for path in product() if tidy.bare_excepts(text_of(path))} == set()
    assert tidy.bare_excepts("try:\n    f()\nexcept:\n    g()") == [3]
    assert tidy.bare_excepts("try:\n    f()\nexcept OSError:\n    g()") == []


def test_only_ops_reads_the_environment() -> None:
    others = tidy.python_files(*(portion for portion in PORTIONS if portion != "ops"))
    assert {path: lines for path in others if (lines := tidy.environment_reads(text_of(path)))} == {}


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['X']", "import os\nos.getenv('X')", "from os import environ"]
)
def test_reading_the_environment_is_noticed(source: str) -> None:
    assert tidy.environment_reads(source)


def test_the_lock_has_every_requirement_with_hashes_and_no_address() -> None:
    project = tomllib.loads(text_of(Path("pyproject.toml")))
    wanted = [
        *project["project"]["dependencies"],
        *(line for lines in project["project"]["optional-dependencies"].values() for line in lines),
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    assert tidy.lock_problems(text_of(Path(LOCK)), wanted) == []


HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("lock", "wanted", "said"),
    [
        ("a==1\n", [], "no exact version"),
        (f"a>=1 \\\n    {HASH}\n", [], "no exact version"),
        (f"a @ https://example.com/a.whl \\\n    {HASH}\n", [], "no exact version"),
        (f"--find-x https://example.com\na==1 \\\n    {HASH}\n", [], "no exact version"),
        (f"a==1 \\\n    {HASH}\n", ["b"], "b is not locked"),
        (f"a==1 \\\n    {HASH}\n", ["A>=2"], "A>=2 is not locked"),
    ],
)
def test_a_bad_lock_is_noticed(lock: str, wanted: list[str], said: str) -> None:
    assert [problem for problem in tidy.lock_problems(lock, wanted) if said in problem]


def test_a_good_lock_is_accepted() -> None:
    assert tidy.lock_problems(f"# by hand\na-b==1.5 ; python_version < '3.12' \\\n    {HASH}\n", ["A_B>=1"]) == []
