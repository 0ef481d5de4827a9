"""A whole project in a folder of its own: its own ports and processes, and nothing of the user's settings."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.ops.embedded.jars import Report, silent
from holdfast.ops.restarts import RestartPolicy
from holdfast.ops.roles import ROLES, Role
from holdfast.ops.settings import Project, Settings, load_settings
from holdfast.ops.setup import set_up
from holdfast.ops.supervisor import Supervisor
from holdfast.projections.client import ClickHouse

# What children would take for settings of theirs.
SETTING_PREFIXES = ("HOLDFAST_", "OPENAI_")


class Sandbox:
    """A project that runs. `keep` is whether its folder stays when it is closed."""

    def __init__(self, settings: Settings, supervisor: Supervisor) -> None:
        self.settings = settings
        self.supervisor = supervisor
        self.keep = False

    @property
    def home(self) -> Path:
        """The project's folder."""
        return self.supervisor.project.home

    @property
    def bootstrap(self) -> str:
        """Kafka's host:port."""
        return self.supervisor.runtime.bootstrap

    @property
    def prefix(self) -> str:
        """Begins every topic's name."""
        return self.settings.topic_prefix

    @property
    def clickhouse(self) -> ClickHouse:
        """A client of the projections."""
        runtime = self.supervisor.runtime
        return ClickHouse(url=runtime.bridge_url, token=runtime.bridge_token)

    def restarts(self) -> dict[str, int]:
        """How often each role had to be started again."""
        return {name: state.restarts for name, state in self.supervisor.runtime.roles.items()}


def new_home(name: str) -> Path:
    """An empty folder for a sandbox."""
    return Path(tempfile.mkdtemp(prefix=f"holdfast-{name}-"))


@contextlib.contextmanager
def sandbox(
    home: Path,
    *,
    environment: Mapping[str, str],
    roles: Sequence[Role] = ROLES,
    policy: RestartPolicy | None = None,
    report: Report = silent,
    **settings: Any,
) -> Iterator[Sandbox]:
    """A running project in `home`, stopped and removed in the end unless its `keep` was set or an error passes.

    `environment` is added to that of its processes; `settings` are those that differ from the defaults. Until it is
    closed this process works in `home` too, without the variables that hold settings. Raises CommandError.
    """
    user = load_settings()
    cache_dir, maven_url = user.cache_dir.absolute(), user.maven_url
    set_up(cache_dir, maven_url=maven_url, report=report)
    with _without_settings_of_the_user(), contextlib.chdir(home):
        own = load_settings(home=home, cache_dir=cache_dir, **settings)
        supervisor = Supervisor(Project(home), own, roles=roles, policy=policy)
        supervisor.environment |= environment
        running = Sandbox(own, supervisor)
        try:
            supervisor.start()
            yield running
        except Exception:
            running.keep = True
            raise
        finally:
            supervisor.stop()
    if not running.keep:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _without_settings_of_the_user() -> Iterator[None]:
    hidden = {name: value for name, value in os.environ.items() if name.startswith(SETTING_PREFIXES)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
