"""`holdfast demo` as its user runs it: everything real, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

HOLDFAST = [sys.executable, "-m", "holdfast.ops.cli"]
TIMEOUT_S = 240

pytestmark = pytest.mark.usefixtures("cache_dir")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Ours, without the settings of whoever runs the tests, and with temporary folders that we can look into."""
    kept = {"HOLDFAST_CACHE_DIR", "HOLDFAST_MAVEN_URL"}
    ours = {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith(("HOLDFAST_", "OPENAI_"))
    }
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    # A name of our own marks every process that descends from the command.
    return {**ours, "TMPDIR": str(temporary), "DEMO_TEST": str(tmp_path)}


def processes(environment: Mapping[str, str]) -> list[str]:
    """Every process that the command has left behind."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEMO_TEST") == environment["DEMO_TEST"]:
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


def run(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*HOLDFAST, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def check(figures: Mapping[str, Any]) -> None:
    events = figures["journal_events"]
    assert events > 30
    assert 0 < figures["duration_s"] < TIMEOUT_S
    assert {name: value for name, value in figures.items() if name != "duration_s"} == {
        "kills": 4,
        "emails_sent": 1,
        "paid_model_calls": 4,
        "recorded_model_intents": 4,
        "journal_events": events,
        "clickhouse_events": events,
        "rows_differ": 0,
        "chain_ok": True,
    }


def test_four_kills_later_everything_adds_up_and_nothing_is_left(environment: dict[str, str]) -> None:
    done = run(environment, "demo", "--json")
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))
    assert processes(environment) == []
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_it_can_be_kept_and_looked_into_until_it_is_stopped(environment: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    inside = {**environment, "HOLDFAST_HOME": str(home)}
    try:
        done = run(environment, "demo", "--keep", "--home", str(home))
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert [line.split()[2] for line in lines if "kill -9" in line and " later " in line] == [
            "sink",
            "orchestrator",
            "broker",
            "executor-tool",
        ]
        assert [line for line in lines if "agent (scripted)" in line]
        assert [line for line in lines if "lea (demo)" in line and "approves it" in line]
        assert f"export HOLDFAST_HOME={home}" in done.stdout
        shown = run(inside, "show", "ticket-1001", "--json")
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)["status"] == "completed"
        assert run(inside, "audit", "verify").returncode == 0
    finally:
        stopped = run(inside, "down")
    assert stopped.returncode == 0, stopped.stderr
    until(lambda: not processes(environment))
    assert home.is_dir()  # it was named, so it stays


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(environment: dict[str, str], number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*HOLDFAST, "demo"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    try:
        while "starts" not in (line := process.stdout.readline()):
            assert line, "it ended before the workflow started"
        os.killpg(process.pid, number)  # as a terminal does
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    until(lambda: not processes(environment))
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_a_folder_that_is_not_empty_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, "demo", "--home", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not empty" in done.stderr


def until(what: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 15
    while not what():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
