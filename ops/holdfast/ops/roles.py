"""The processes that make up a running project: the composition root. To add one, write a function and a table entry.

Each role runs in a process of its own (`holdfast run ROLE`) until SIGTERM, and returns its exit code.
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.ops.errors import CommandError
from holdfast.ops.settings import Project, Runtime, Settings

if TYPE_CHECKING:
    from holdfast.tools.content import ContentStore

# A role that ends with this code cannot work with these settings: starting it again would change nothing.
EXIT_MISCONFIGURED = 78

# Longer than executors themselves give to calls that run when they are asked to end.
EXECUTOR_GRACE_S = 40.0

Run = Callable[[Settings, Project], int]


def is_always_wanted(_settings: Settings) -> bool:
    """The rule of roles that run whatever the settings say."""
    return True


@dataclass(frozen=True, kw_only=True)
class Role:
    """One process of a project.

    `run` is its body; `command` replaces `holdfast run NAME` as what is executed. Roles with `needs_topics` start
    when a broker answers and its topics are right; the role with `is_broker` is that broker, the one with `has_bridge`
    answers readers. `wanted` tells from the settings whether it runs at all, and `unwanted_because` is the sentence for
    people if it does not. `grace_s`: time to end in before it is killed.
    """

    name: str
    run: Run | None = None
    command: tuple[str, ...] = ()
    needs_topics: bool = True
    is_broker: bool = False
    has_bridge: bool = False
    grace_s: float = 10.0
    wanted: Callable[[Settings], bool] = is_always_wanted
    unwanted_because: str = ""

    def arguments(self) -> list[str]:
        """The argument list that starts it."""
        return list(self.command) or [sys.executable, "-m", "holdfast.ops.cli", "run", self.name]


def runtime_of(settings: Settings, project: Project) -> Runtime:
    """The running project's addresses. Raises CommandError if the project has never been started."""
    runtime = project.read_runtime()
    if runtime is None:
        raise CommandError(f"no project runs in {project.home}", cure="`holdfast up`")
    return runtime


def bootstrap_of(settings: Settings, project: Project) -> str:
    """Kafka's host:port. Raises CommandError if the broker is embedded and the project was never started."""
    return settings.bootstrap or runtime_of(settings, project).bootstrap


def bridge_of(settings: Settings, project: Project) -> tuple[str, str]:
    """Address and token of the ClickHouse bridge. Raises CommandError if neither settings nor a project tell."""
    if settings.bridge_url:
        return settings.bridge_url, settings.bridge_token.get_secret_value() if settings.bridge_token else ""
    runtime = runtime_of(settings, project)
    return runtime.bridge_url, runtime.bridge_token


def content_store_of(settings: Settings, project: Project) -> "ContentStore":
    """Where large bodies are kept. Raises CommandError if the setting names no store."""
    from holdfast.tools.content import ContentStore, ContentUrlError

    try:
        return ContentStore(settings.content_url or (project.data / "content").as_uri())
    except ContentUrlError as exc:
        raise CommandError(str(exc), cure="correct HOLDFAST_CONTENT_URL, such as s3://bucket/prefix") from exc


def _broker(settings: Settings, project: Project) -> int:
    from holdfast.ops.embedded.broker import broker_command
    from holdfast.ops.embedded.kit import prepare
    from holdfast.ops.embedded.ports import free_port

    port = int(runtime_of(settings, project).bootstrap.rpartition(":")[2])
    command = broker_command(
        prepare(settings.cache_dir), project.data / "broker", port=port, controller_port=free_port()
    )
    # Becomes the broker: one process less, and signals reach it directly.
    os.execv(command[0], command)  # noqa: S606


def _orchestrator(settings: Settings, project: Project) -> int:
    from holdfast.streams.orchestrator import OrchestratorConfig, run_worker

    return run_worker(
        OrchestratorConfig(
            bootstrap=bootstrap_of(settings, project),
            topic_prefix=settings.topic_prefix,
            partitions=settings.partitions,
            data_dir=_own_folder(project, "orchestrator"),
            instance_id=settings.instance_id or "orchestrator-1",
            session_timeout_ms=settings.session_timeout_ms,
        )
    )


def _tool_executor(settings: Settings, project: Project) -> int:
    from holdfast.streams.executor import ExecutorConfig, run_tool_executor
    from holdfast.tools import RegistryError, registry_from_modules

    # Tools of a project usually lie where it is started.
    sys.path.insert(0, str(Path.cwd()))
    try:
        registry = registry_from_modules(settings.tool_modules)
    except RegistryError as exc:
        raise CommandError(str(exc), cure="correct the modules, or HOLDFAST_TOOL_MODULES") from exc
    config = ExecutorConfig(
        bootstrap=bootstrap_of(settings, project),
        topic_prefix=settings.topic_prefix,
        executor_id=_process_name("executor-tool"),
        instance_id=settings.instance_id or "executor-tool-1",
        slots=settings.executor_slots,
        spare_slots=settings.executor_spare_slots,
        session_timeout_ms=settings.session_timeout_ms,
    )
    return run_tool_executor(config, registry, content_store_of(settings, project))


def _model_executor(settings: Settings, project: Project) -> int:
    from holdfast.streams.executor import ExecutorConfig, ModelEndpoint, run_model_executor

    if not settings.model_base_url:
        raise CommandError(
            "no model is set",
            cure="set HOLDFAST_MODEL_BASE_URL, HOLDFAST_MODEL_NAME and, if it wants one, HOLDFAST_MODEL_API_KEY",
        )
    config = ExecutorConfig(
        bootstrap=bootstrap_of(settings, project),
        topic_prefix=settings.topic_prefix,
        executor_id=_process_name("executor-model"),
        instance_id=settings.instance_id or "executor-model-1",
        slots=settings.executor_slots,
        spare_slots=settings.executor_spare_slots,
        session_timeout_ms=settings.session_timeout_ms,
    )
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else ""
    try:
        endpoint = ModelEndpoint(base_url=settings.model_base_url, api_key=key, model=settings.model_name or "")
    except ValueError as exc:
        raise CommandError(str(exc), cure="correct HOLDFAST_MODEL_BASE_URL") from exc
    return run_model_executor(config, endpoint)


def _sink(settings: Settings, project: Project) -> int:
    from holdfast.projections.sink import SinkConfig, run_sink

    bridge_url, bridge_token = bridge_of(settings, project)
    return run_sink(
        SinkConfig(
            bootstrap=bootstrap_of(settings, project),
            topic_prefix=settings.topic_prefix,
            database_dir=_own_folder(project, "clickhouse"),
            bridge_port=int(bridge_url.rpartition(":")[2]),
            bridge_token=bridge_token,
            clickhouse_dsn=settings.clickhouse_dsn,
            session_timeout_ms=settings.session_timeout_ms,
        )
    )


def _own_folder(project: Project, name: str) -> Path:
    folder = project.data / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _process_name(role: str) -> str:
    # The start time too: in a container every process is number 1.
    return f"{role}@{socket.gethostname()}/{os.getpid()}-{int(time.time())}"


# In the order of their start; they are stopped in reverse.
ROLES: tuple[Role, ...] = (
    Role(
        name="broker",
        run=_broker,
        needs_topics=False,
        is_broker=True,
        grace_s=30.0,
        wanted=lambda settings: settings.bootstrap is None,
        unwanted_because="HOLDFAST_BOOTSTRAP names another broker",
    ),
    Role(name="orchestrator", run=_orchestrator),
    Role(
        name="executor-model",
        run=_model_executor,
        grace_s=EXECUTOR_GRACE_S,
        wanted=lambda settings: settings.model_base_url is not None,
        unwanted_because="no model is set (HOLDFAST_MODEL_BASE_URL, HOLDFAST_MODEL_NAME), so model calls will wait",
    ),
    Role(name="executor-tool", run=_tool_executor, grace_s=EXECUTOR_GRACE_S),
    Role(name="sink", run=_sink, has_bridge=True),
)


def run_role(name: str, settings: Settings, project: Project) -> int:
    """Run one role in this process until it ends; returns its exit code. Raises CommandError for an unknown name."""
    bodies = {role.name: role.run for role in ROLES if role.run}
    if name not in bodies:
        raise CommandError(f"there is no role {name}", cure=f"one of: {', '.join(bodies)}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    return bodies[name](settings, project)
