"""Who may import whom: the contracts of pyproject.toml hold, and each of them can break."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.tidy import PORTIONS, ROOT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = [contract["name"] for contract in CONFIGURATION["tool"]["importlinter"]["contracts"]]

# One import that breaks each contract: the module that gets it, and the line.
SEEDS = {
    "One import direction": ("tools/holdfast/tools/manifest.py", "import holdfast.streams"),
    "The core is pure": ("streams/holdfast/streams/core/retry.py", "import time"),
    "The driver, the executors and everything outside streams know no Faust, not even indirectly": (
        "streams/holdfast/streams/driver.py",
        "import holdfast.streams.faustkit.app",
    ),
    "Only the kit and the thin agents import Faust": ("streams/holdfast/streams/recovery.py", "import faust"),
    "Avro bytes are made and read in the codec; rows.py reads the prefix of a row": (
        "projections/holdfast/projections/rows.py",
        "import fastavro",
    ),
    "Avro's reference implementation is for checking schemas only": (
        "schemas/holdfast/schemas/topics.py",
        "import avro.schema",
    ),
    "Only projections talk to ClickHouse": ("ops/holdfast/ops/topics.py", "import clickhouse_connect"),
    "Only the model executor talks to a model": ("streams/holdfast/streams/driver.py", "import openai"),
    "Bodies are kept and read in one place": ("ops/holdfast/ops/roles.py", "import obstore"),
    "Expressions are evaluated in one place": ("streams/holdfast/streams/core/flow.py", "import cel_expr_python"),
    "Cron expressions are evaluated in one place": ("streams/holdfast/streams/core/flow.py", "import cronsim"),
    "Time zones are those of the pinned tzdata": ("ops/holdfast/ops/topics.py", "import zoneinfo"),
    "Terminals, settings and the embedded platform are matters of ops": (
        "projections/holdfast/projections/rows.py",
        "import rich",
    ),
    "Clients of Kafka stay out of schemas and tools, but for the partitioner": (
        "schemas/holdfast/schemas/topics.py",
        "import aiokafka",
    ),
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter over the portions in a folder."""
    paths = os.pathsep.join(str(root / portion) for portion in PORTIONS)
    command = [str(LINT_IMPORTS), "--no-cache", "--no-logo", "--config", str(root / "pyproject.toml")]
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "400"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=120)


def verdicts(output: str) -> dict[str, str]:
    """KEPT or BROKEN for each contract."""
    lines = " ".join(output.split())
    return {
        name: next((word for word in ("KEPT", "BROKEN") if f"{name} {word}" in lines), "missing") for name in CONTRACTS
    }


def test_the_contracts_hold() -> None:
    result = lint(ROOT)
    assert verdicts(result.stdout) == dict.fromkeys(CONTRACTS, "KEPT"), result.stdout + result.stderr
    assert result.returncode == 0


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The verdict on a copy of the tree in which every contract is broken once."""
    root = tmp_path_factory.mktemp("broken")
    for portion in PORTIONS:
        shutil.copytree(ROOT / portion / "holdfast", root / portion / "holdfast")
    shutil.copy(ROOT / "pyproject.toml", root)
    for path, line in SEEDS.values():
        with (root / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    return lint(root)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_breaks_if_somebody_breaks_it(contract: str, broken: subprocess.CompletedProcess[str]) -> None:
    assert contract in SEEDS, "a new contract needs an import that breaks it"
    assert verdicts(broken.stdout)[contract] == "BROKEN", broken.stdout + broken.stderr


def test_breaking_contracts_fails_the_run(broken: subprocess.CompletedProcess[str]) -> None:
    assert broken.returncode == 1
