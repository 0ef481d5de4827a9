"""The pure modules import only what is listed here, load nothing heavy, and read no clock."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from support.tidy import ROOT

# A pure module may import another pure one, and these. None of them reads a clock, a random source, the environment or
# the network when called as the core calls it; `datetime` is watched by ruff beside the core, and `importlib` is there
# for the zones of the pinned `tzdata`, read once like a module.
ALLOWED = {
    *("dataclasses", "enum", "typing", "collections", "functools", "itertools", "math", "re", "hashlib", "operator"),
    *("datetime", "zoneinfo", "heapq", "pydantic", "cel_expr_python", "jsonschema", "orjson"),
    *("cronsim", "importlib", "google", "difflib"),
}
PURE_PACKAGES = ("holdfast.streams.core",)
PURE_MODULES = {
    *("holdfast.schemas", "holdfast.schemas.record", "holdfast.schemas.events", "holdfast.schemas.requests"),
    *("holdfast.schemas.reports", "holdfast.schemas.tasks", "holdfast.schemas.results", "holdfast.schemas.state"),
    *("holdfast.schemas.definitions", "holdfast.schemas.ids", "holdfast.schemas.chain", "holdfast.schemas.jsontext"),
    *("holdfast.schemas.durations", "holdfast.schemas.correlations", "holdfast.schemas.content", "holdfast.streams"),
}
HEAVY = ("faust", "mode", "aiokafka", "fastavro", "clickhouse_connect", "chdb", "openai", "aiohttp", "typer", "rich")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("holdfast.schemas", "holdfast.streams", include_external_packages=True, cache_dir=None)


def pure_modules(graph: grimp.ImportGraph) -> set[str]:
    inside = {name for package in PURE_PACKAGES for name in (package, *graph.find_descendants(package))}
    return inside | PURE_MODULES


def not_allowed(graph: grimp.ImportGraph) -> set[str]:
    pure = pure_modules(graph)
    return {
        f"{module} imports {imported}"
        for module in pure
        for imported in graph.find_modules_directly_imported_by(module)
        if imported not in pure and imported not in ALLOWED
    }


def test_pure_modules_import_only_what_is_allowed(graph: grimp.ImportGraph) -> None:
    assert not_allowed(graph) == set()


def test_every_pure_module_exists(graph: grimp.ImportGraph) -> None:
    assert pure_modules(graph) <= graph.modules
    assert len(pure_modules(graph)) > len(PURE_MODULES) + 5


@pytest.mark.parametrize("imported", ["time", "faust", "holdfast.schemas.codec", "holdfast.streams.driver"])
def test_anything_else_is_noticed(graph: grimp.ImportGraph, imported: str) -> None:
    before = not_allowed(graph)
    if imported not in graph.modules:
        graph.add_module(imported, is_squashed=True)
    graph.add_import(importer="holdfast.streams.core.retry", imported=imported)
    try:
        assert not_allowed(graph) - before == {f"holdfast.streams.core.retry imports {imported}"}
    finally:
        graph.remove_import(importer="holdfast.streams.core.retry", imported=imported)


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after a statement."""
    script = f"import sys\n{statement}\nsys.stdout.write(' '.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True, timeout=60
    )
    return set(HEAVY) & set(result.stdout.split())


def test_importing_the_core_loads_no_client_library(graph: grimp.ImportGraph) -> None:
    modules = sorted(name for name in pure_modules(graph) if name.startswith("holdfast."))
    assert loaded_by("\n".join(f"import {name}" for name in modules)) == set()


def test_the_probe_would_see_one() -> None:
    assert loaded_by("import holdfast.schemas.codec") >= {"fastavro"}


@pytest.mark.parametrize(
    ("line", "banned"),
    [
        ("import time", True),
        ("from time import monotonic", True),
        ("import random", True),
        ("from uuid import uuid4", True),
        ("from datetime import datetime, UTC\nNOW = datetime.now(UTC)", True),
        ("import os", True),
        ("import hashlib", False),
        ("from datetime import datetime, UTC\nTHEN = datetime.fromtimestamp(0, UTC)", False),
    ],
)
def test_the_linter_bans_clocks_and_chance_at_the_line(line: str, banned: bool) -> None:
    place = ROOT / "streams" / "holdfast" / "streams" / "core" / "seeded.py"
    ruff = Path(sys.executable).with_name("ruff")
    command = [str(ruff), "check", "--no-cache", "--select", "TID251", "--stdin-filename", str(place), "-"]
    result = subprocess.run(
        command, input=line + "\n", cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ("TID251" in result.stdout) == banned, result.stdout + result.stderr
    assert result.returncode == int(banned)
