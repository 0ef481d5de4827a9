"""The supervisor keeps its promise: what should run runs, what should not does not, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from holdfast.ops.errors import CommandError
from holdfast.ops.roles import EXIT_MISCONFIGURED, Role
from holdfast.ops.settings import Project, Runtime, Settings
from holdfast.ops.supervisor import LINE_BYTES, Supervisor, is_up

StandIn = Callable[..., Role]
Supervise = Callable[..., Supervisor]

SLEEPS = "import time; time.sleep(600)"
HOLDFAST = [sys.executable, "-m", "holdfast.ops.cli"]


def eventually(holds: Callable[[], bool], timeout_s: float = 20) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up_at, "it did not come true"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_role_that_is_killed_is_started_again(supervise: Supervise, stand_in: StandIn, project: Project) -> None:
    supervisor = supervise(stand_in("a", SLEEPS), stand_in("b", SLEEPS))
    supervisor.start()
    first, other = supervisor.pid("a"), supervisor.pid("b")

    supervisor.signal("a", signal.SIGKILL)

    def published() -> Runtime:
        runtime = project.read_runtime()
        assert runtime is not None
        return runtime

    eventually(lambda: published().roles["a"].pid != first)
    assert published().roles["a"].pid == supervisor.pid("a")
    assert supervisor.pid("b") == other
    assert {name: role.restarts for name, role in published().roles.items()} == {"a": 1, "b": 0}


def test_a_role_that_keeps_dying_stops_everything_and_is_named(supervise: Supervise, stand_in: StandIn) -> None:
    supervisor = supervise(stand_in("steady", SLEEPS), stand_in("fragile", "raise SystemExit(3)"))
    supervisor.start()
    steady = supervisor.pid("steady")

    reason = supervisor.wait()

    assert reason is not None
    assert "fragile ended 5 times" in reason
    assert "exit code 3" in reason
    supervisor.stop()
    assert steady is not None
    assert is_gone(steady)


def test_a_role_that_cannot_work_with_its_settings_is_not_tried_again(
    supervise: Supervise, stand_in: StandIn, tmp_path: Path
) -> None:
    tries = tmp_path / "tries"
    program = f"open({str(tries)!r}, 'a').write('x'); raise SystemExit({EXIT_MISCONFIGURED})"
    supervisor = supervise(stand_in("wrong", program))
    supervisor.start()
    assert "wrong cannot work with these settings" in str(supervisor.wait())
    assert tries.read_text() == "x"


def test_roles_stop_in_reverse_order_with_a_chance_to_clean_up(
    supervise: Supervise, stand_in: StandIn, tmp_path: Path
) -> None:
    journal = tmp_path / "stops"
    program = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        f"    with open({str(journal)!r}, 'a') as f: f.write('NAME ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    lines: list[tuple[str, str]] = []
    roles = [stand_in(name, program.replace("NAME", name)) for name in ("first", "second", "third")]
    supervisor = supervise(*roles, log=lambda role, line: lines.append((role, line)))
    supervisor.start()
    eventually(lambda: len(lines) == 3)

    supervisor.stop()

    assert journal.read_text().split() == ["third", "second", "first"]


def test_a_role_that_does_not_listen_is_killed_after_its_grace(supervise: Supervise, stand_in: StandIn) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    lines: list[str] = []
    supervisor = supervise(stand_in("deaf", deaf, grace_s=0.3), log=lambda _role, line: lines.append(line))
    supervisor.start()
    eventually(lambda: "deaf" in lines)
    pid = supervisor.pid("deaf")

    supervisor.stop()

    assert pid is not None
    assert is_gone(pid)
    assert any("was killed" in line for line in lines)


def test_what_a_role_says_is_shown_and_kept_whatever_its_length(
    supervise: Supervise, stand_in: StandIn, project: Project
) -> None:
    lines: list[tuple[str, str]] = []
    program = (
        f"print('hello'); print('x' * {LINE_BYTES + 5}); print(bytes([255]).decode('latin-1'), flush=True); {SLEEPS}"
    )
    supervisor = supervise(stand_in("a", program), log=lambda role, line: lines.append((role, line)))
    supervisor.start()
    eventually(lambda: len(lines) >= 4)
    assert lines[:3] == [("a", "hello"), ("a", "x" * LINE_BYTES), ("a", "xxxxx")]
    assert (project.logs / "a.log").read_text().startswith("hello\n")


def test_a_second_supervisor_on_the_same_home_is_refused(
    supervise: Supervise, stand_in: StandIn, project: Project
) -> None:
    first = supervise(stand_in("a", SLEEPS))
    first.start()
    assert is_up(project)
    with pytest.raises(CommandError, match=r"runs in .* already"):
        supervise(stand_in("a", SLEEPS)).start()
    assert first.pid("a") is not None
    first.stop()
    assert not is_up(project)


def test_leftover_roles_are_ended_but_a_stranger_with_their_process_id_is_not(
    supervise: Supervise, stand_in: StandIn, project: Project
) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", SLEEPS]) as leftover,
        subprocess.Popen([sys.executable, "-c", SLEEPS]) as stranger,
    ):
        began_ms = int(psutil.Process(leftover.pid).create_time() * 1000)
        roles = {
            "left": {"pid": leftover.pid, "restarts": 0, "started_at_ms": began_ms},
            "stranger": {"pid": stranger.pid, "restarts": 0, "started_at_ms": began_ms - 3_600_000},
        }
        runtime = {
            "bootstrap": "127.0.0.1:1",
            "bridge_url": "http://127.0.0.1:2",
            "bridge_token": "t",
            "supervisor_pid": 1,
            "roles": roles,
        }
        project.home.mkdir()
        project.runtime_path.write_text(json.dumps(runtime))
        try:
            supervise(stand_in("a", SLEEPS)).start()
            assert is_gone(leftover.pid)
            assert stranger.poll() is None
        finally:
            leftover.kill()
            stranger.kill()


def test_a_start_that_fails_leaves_nothing_behind(supervise: Supervise, stand_in: StandIn, project: Project) -> None:
    needs_topics = Role(name="worker", command=(sys.executable, "-c", SLEEPS))
    with pytest.raises(CommandError, match="worker cannot work without a broker"):
        supervise(stand_in("a", SLEEPS), needs_topics).start()
    assert not is_up(project)


def test_roles_end_with_a_supervisor_that_is_killed_and_the_next_start_works(
    supervise: Supervise, stand_in: StandIn, project: Project
) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from holdfast.ops.supervisor import Supervisor; from holdfast.ops.roles import Role\n"
        "from holdfast.ops.settings import Project, Runtime, Settings\n"
        f"roles = [Role(name='a', command=(sys.executable, '-c', {SLEEPS!r}), needs_topics=False)]\n"
        "s = Supervisor(Project(home=Path(sys.argv[1])), Settings(), roles=roles); s.start()\n"
        "print(s.pid('a'), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(project.home)], stdout=subprocess.PIPE) as other:
        assert other.stdout
        pid = int(other.stdout.readline())
        assert not is_gone(pid)
        other.kill()
    eventually(lambda: is_gone(pid))
    assert not is_up(project)
    again = supervise(stand_in("a", SLEEPS))
    again.start()
    assert again.pid("a") is not None


def test_roles_survive_the_thread_that_started_them(supervise: Supervise, stand_in: StandIn) -> None:
    supervisor = supervise(stand_in("a", SLEEPS))
    starter = threading.Thread(target=supervisor.start)
    starter.start()
    starter.join()
    time.sleep(0.3)
    assert supervisor.pid("a") is not None
    runtime = supervisor.runtime
    assert runtime.roles["a"].restarts == 0


@contextmanager
def command_environment(home: Path, cache_dir: Path) -> Iterator[dict[str, str]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))}
    env |= {"HOLDFAST_HOME": str(home), "HOLDFAST_CACHE_DIR": str(cache_dir)}
    try:
        yield env
    finally:
        subprocess.run([*HOLDFAST, "down"], env=env, cwd=home.parent, capture_output=True, check=False)


def test_up_and_down_as_commands_with_two_projects_side_by_side(tmp_path: Path, cache_dir: Path) -> None:
    def holdfast(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*HOLDFAST, *arguments], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    with (
        command_environment(tmp_path / "one", cache_dir) as one,
        command_environment(tmp_path / "two", cache_dir) as two,
    ):
        up = holdfast(one, "up", "--detach", "--roles", "broker", "--json")
        assert up.returncode == 0, up.stderr
        first = json.loads(up.stdout)
        assert list(first["roles"]) == ["broker"]
        second = json.loads(holdfast(two, "up", "--detach", "--roles", "broker", "--json").stdout)
        assert first["bootstrap"] != second["bootstrap"]

        # The topics are there by the time `up` returns.
        assert holdfast(one, "topics", "check").returncode == 0

        again = holdfast(one, "up", "--detach")
        assert again.returncode == 1
        assert "already" in again.stderr
        assert "`holdfast down`" in again.stderr

        down = holdfast(one, "down")
        assert down.returncode == 0
        assert "is down" in down.stdout
        assert is_gone(first["roles"]["broker"]["pid"])
        assert not is_gone(second["roles"]["broker"]["pid"])

        # What was written stays, and so does the port.
        once_more = json.loads(holdfast(one, "up", "--detach", "--roles", "broker", "--json").stdout)
        assert once_more["bootstrap"] == first["bootstrap"]
    assert "no project runs" in holdfast(one, "down").stdout


def test_ctrl_c_stops_a_project_in_the_foreground(tmp_path: Path, cache_dir: Path) -> None:
    with (
        command_environment(tmp_path / "home", cache_dir) as env,
        subprocess.Popen(
            [*HOLDFAST, "up", "--roles", "broker"],
            env=env,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as up,
    ):
        assert up.stdout
        assert "is up: broker" in up.stdout.readline()
        runtime = Project(home=tmp_path / "home").read_runtime()
        assert runtime is not None
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=60)
        assert up.returncode == 0
        assert "Kafka Server started" in said
        assert "stopping" in said
        assert is_gone(runtime.roles["broker"].pid)


def test_the_runtime_file_is_for_its_owner_only(supervise: Supervise, stand_in: StandIn, project: Project) -> None:
    supervise(stand_in("a", SLEEPS)).start()
    assert project.runtime_path.stat().st_mode & 0o077 == 0


def test_children_get_the_settings_of_their_supervisor(
    supervise: Supervise, stand_in: StandIn, project: Project, cache_dir: Path
) -> None:
    lines: list[str] = []
    program = (
        "from holdfast.ops.settings import Settings; s = Settings(); print(s.model_dump_json(), flush=True); " + SLEEPS
    )
    settings = Settings(
        home=project.home,
        cache_dir=cache_dir,
        tool_modules=("a.b", "c"),
        partitions=7,
        model_api_key=SecretStr("secret"),
    )
    supervise(stand_in("a", program), settings=settings, log=lambda _role, line: lines.append(line)).start()
    eventually(lambda: bool(lines))
    found = Settings.model_validate_json(lines[0])
    assert found.model_copy(update={"model_api_key": settings.model_api_key}) == settings
