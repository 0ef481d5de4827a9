"""Checks of the source tree itself. Each takes text and returns what is wrong with it."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PORTIONS = ("schemas", "tools", "streams", "projections", "ops")
_NOT_OURS = re.compile(r"\.(git|venv|holdfast|hypothesis|import_linter_cache)|.*_cache|.*\.egg-info|__pycache__|dist")

# Put together from pieces so that this file passes its own check.
_HOSTS = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.", "crates" + ".io", "golang" + ".org")
_MAVEN_HOSTS = ("repo1.maven" + ".org", "repo.maven" + ".apache.org", "deb.debian" + ".org")
_INDEX_OPTIONS = ("--" + "index-url", "--" + "extra-index-url", "--" + "trusted-host", "--" + "find-links")
_MACHINE_PATHS = ("/work" + "/", "/root" + "/", "/Users" + "/", r"/home" + r"/(?!holdfast\b)", r"C:\\" + "Users")
_FOREIGN = re.compile("|".join([*map(re.escape, (*_HOSTS, *_MAVEN_HOSTS, *_INDEX_OPTIONS)), *_MACHINE_PATHS]))
_REMINDER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b(?!\(#\d+\))")
_LOCKED = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)( ;[^\\\n]*)?(\s*\\\n\s+--hash=sha256:[0-9a-f]{64})+")
_TABLE_CELL = re.compile(r"^\|\s*\[?`([a-z]+)/?`", re.MULTILINE)


def files_of_the_project() -> Iterator[Path]:
    """Every file that belongs to the project, relative to its root."""
    folders = [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            if _NOT_OURS.fullmatch(path.name):
                continue
            if path.is_dir():
                folders.append(path)
            else:
                yield path.relative_to(ROOT)


def python_files(*portions: str) -> list[Path]:
    """The modules of some portions, relative to the root."""
    return [path for path in files_of_the_project() if path.suffix == ".py" and path.parts[:2] in _roots(portions)]


def _roots(portions: Sequence[str]) -> set[tuple[str, str]]:
    return {(portion, "holdfast") for portion in portions}


def foreign_names(text: str) -> list[str]:
    """Hosts of package registries, options that name one, and paths of one machine."""
    return [match.group() for match in _FOREIGN.finditer(text)]


def reminders(text: str) -> list[str]:
    """Reminders without a number such as (#12)."""
    return [match.group() for match in _REMINDER.finditer(text)]


def prints(source: str) -> list[int]:
    """Lines that call `print`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def bare_excepts(source: str) -> list[int]:
    """Lines that catch everything without naming it."""
    return [
        node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler) and node.type is None
    ]


def environment_reads(source: str) -> list[int]:
    """Lines that touch the environment of the process."""
    names = {"environ", "environb", "getenv", "putenv"}
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names})
    ]


def lock_problems(lock: str, wanted: Sequence[str]) -> list[str]:
    """What is wrong with a lock file: no exact version, no hash, an address, or a wanted requirement that it lacks."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    entries = [entry for entry in re.split(r"\n(?=\S)", lock.strip()) if not entry.startswith("#")]
    locked: dict[str, str] = {}
    found = []
    for entry in entries:
        match = _LOCKED.fullmatch(entry)
        if match is None:
            found.append(f"no exact version with SHA-256 hashes: {entry.splitlines()[0]}")
        else:
            locked[canonicalize_name(match.group(1))] = match.group(2)
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement} is not locked (found {version})")
    return found


def folder_table(readme: str) -> set[str]:
    """The folders that the table in the README names in its first column, as `folder` or [`folder/`](...)."""
    return set(_TABLE_CELL.findall(readme))


def folders() -> set[str]:
    """The top-level folders of the project."""
    return {
        path.parts[0] for path in files_of_the_project() if len(path.parts) > 1 and not path.parts[0].startswith(".")
    }
