"""`holdfast setup`, `up`, `down`, `run`, `doctor`: the platform itself."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from holdfast.ops import interrupts
from holdfast.ops.console import EXIT_REFUSED, CommandError, JsonOption, emit, progress, say, show_error

DETACH_TIMEOUT_S = 120.0
DOWN_TIMEOUT_S = 90.0
POLL_S = 0.1

RolesOption = Annotated[
    str, typer.Option("--roles", help="Start only these roles, separated by commas.", metavar="A,B")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("setup")(set_up)
    app.command("up")(up)
    app.command("down")(down)
    app.command("run")(run)
    app.command("doctor")(doctor)


def set_up(as_json: JsonOption = False) -> None:
    """Fetch and prepare the embedded platform once; quick when that is done.

    Example: holdfast setup
    """
    from holdfast.ops.settings import load_settings
    from holdfast.ops.setup import set_up as prepare

    settings = load_settings()
    began_s = time.monotonic()
    with progress() as report:
        kit = prepare(settings.cache_dir, maven_url=settings.maven_url, report=report)
    result = {"cache": str(settings.cache_dir), "kit": str(kit.folder), "seconds": round(time.monotonic() - began_s, 1)}
    emit(result if as_json else f"the embedded platform is ready in {kit.folder}", as_json=as_json)


def up(
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background; `holdfast down` ends it.")] = False,
    roles: RolesOption = "",
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Do not show what the roles say (their logs have it).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the broker and every role, and keep them running.

    Example: holdfast up --detach
    """
    from holdfast.ops.settings import load_settings, project_of

    settings = load_settings()
    _chosen(roles)
    _prepare(settings)
    if detach:
        _up_detached(project_of(settings), roles, as_json=as_json)
    else:
        _up_here(settings, project_of(settings), roles, quiet=quiet, as_json=as_json)


def _prepare(settings: Any) -> None:
    from holdfast.ops.setup import set_up as prepare

    if settings.bootstrap is None:
        with progress() as report:
            prepare(settings.cache_dir, maven_url=settings.maven_url, report=report)


def _chosen(names: str) -> Any:
    from holdfast.ops.roles import ROLES

    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := set(wanted) - {role.name for role in ROLES}:
        known = ", ".join(role.name for role in ROLES)
        raise typer.BadParameter(f"no such role: {', '.join(sorted(unknown))} (there are: {known})")
    return tuple(role for role in ROLES if not wanted or role.name in wanted)


def _up_here(settings: Any, project: Any, roles: str, *, quiet: bool, as_json: bool) -> None:
    from holdfast.ops.console import role_log
    from holdfast.ops.supervisor import OWN_NAME, Supervisor

    log = role_log(only=OWN_NAME if quiet else None)
    supervisor = Supervisor(project, settings, roles=_chosen(roles), log=log)
    interrupts.raise_once()
    try:
        supervisor.start()
        emit(_summary(supervisor.runtime) if as_json else _sentence(project, supervisor.runtime), as_json=as_json)
        sys.stdout.flush()
        failure = supervisor.wait()
    except KeyboardInterrupt:
        failure = None
    interrupts.ignore()
    log(OWN_NAME, "stopping")
    supervisor.stop()
    if failure:
        raise CommandError(failure, cure="`holdfast doctor`")


def _up_detached(project: Any, roles: str, *, as_json: bool) -> None:
    from holdfast.ops.supervisor import is_up

    if is_up(project):
        raise CommandError(
            f"a project runs in {project.home} already", cure="`holdfast down`, or another folder in HOLDFAST_HOME"
        )
    project.logs.mkdir(parents=True, exist_ok=True)
    log_path = project.logs / "supervisor.log"
    command = [sys.executable, "-m", "holdfast.ops.cli", "up", "--quiet", *(["--roles", roles] if roles else [])]
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    give_up_at = time.monotonic() + DETACH_TIMEOUT_S
    while time.monotonic() < give_up_at:
        runtime = project.read_runtime()
        if runtime and runtime.supervisor_pid == process.pid and runtime.ready:
            emit(_summary(runtime) if as_json else _sentence(project, runtime), as_json=as_json)
            return
        if process.poll() is not None:
            said = log_path.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
            raise CommandError(f"the project did not start:\n{said}", cure=f"`holdfast doctor`, or read {project.logs}")
        time.sleep(POLL_S)
    raise CommandError(
        f"the project is not up after {DETACH_TIMEOUT_S:.0f} s", cure=f"read {log_path}, `holdfast down`"
    )


def _summary(runtime: Any) -> dict[str, Any]:
    summary: dict[str, Any] = runtime.model_dump(exclude={"bridge_token"})
    return summary


def _sentence(project: Any, runtime: Any) -> str:
    return f"{project.home} is up: {', '.join(runtime.roles)}; Kafka at {runtime.bootstrap}"


def down(as_json: JsonOption = False) -> None:
    """Stop the project, the last started role first, and return when everything has ended.

    Example: holdfast down
    """
    from holdfast.ops.settings import load_settings, project_of
    from holdfast.ops.supervisor import is_up

    project = project_of(load_settings())
    if not is_up(project):
        emit({"stopped": False} if as_json else f"no project runs in {project.home}", as_json=as_json)
        return
    give_up_at = time.monotonic() + DOWN_TIMEOUT_S
    asked: set[int] = set()
    while is_up(project):
        # Read each time: a supervisor that is just starting has not written its own yet.
        runtime = project.read_runtime()
        if runtime and runtime.supervisor_pid not in asked:
            asked.add(runtime.supervisor_pid)
            with suppress(ProcessLookupError):
                os.kill(runtime.supervisor_pid, signal.SIGTERM)
        if time.monotonic() > give_up_at:
            pids = ", ".join(str(pid) for pid in asked)
            raise CommandError(
                f"the supervisor (process {pids}) has not stopped in {DOWN_TIMEOUT_S:.0f} s",
                cure=f"kill -9 {pids}: its roles end with it",
            )
        time.sleep(POLL_S)
    emit({"stopped": True} if as_json else f"{project.home} is down", as_json=as_json)


def run(
    role: Annotated[str, typer.Argument(help="broker, orchestrator, executor-model, executor-tool or sink.")],
) -> None:
    """Run one role in this process until SIGTERM, as `holdfast up` and containers do.

    Example: holdfast run orchestrator
    """
    from holdfast.ops.roles import EXIT_MISCONFIGURED, run_role
    from holdfast.ops.settings import load_settings, project_of

    _chosen(role)
    try:
        settings = load_settings()
        code = run_role(role, settings, project_of(settings))
    except CommandError as error:
        show_error(error)
        sys.exit(EXIT_MISCONFIGURED)
    sys.exit(code)


def doctor(
    model: Annotated[bool, typer.Option("--model", help="Ask the model's server too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at everything the project needs; each finding comes with its cure. Exit code 1 if something is broken.

    Example: holdfast doctor --model
    """
    from holdfast.ops.doctor import Severity, examine
    from holdfast.ops.settings import load_settings, project_of

    settings = load_settings()
    findings = examine(settings, project_of(settings), ask_model=model)
    rows = [finding.as_row() for finding in findings]
    emit(rows, table=("severity", "subject", "finding", "cure"), as_json=as_json)
    broken = [finding for finding in findings if finding.severity is Severity.BROKEN]
    if broken:
        if not as_json:
            say(f"{len(broken)} broken")
        sys.exit(EXIT_REFUSED)
