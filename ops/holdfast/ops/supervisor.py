"""Runs a project's roles as child processes: starts them in order, again when they die, and stops them in reverse."""

import logging
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from logging.handlers import RotatingFileHandler

import psutil

from holdfast.ops.disk import disks_of
from holdfast.ops.embedded.locking import exclusive
from holdfast.ops.embedded.ports import HOST, answers, free_port, is_free
from holdfast.ops.embedded.tether import end, spawn
from holdfast.ops.errors import CommandError
from holdfast.ops.interrupts import run_until_interrupted
from holdfast.ops.restarts import RestartPolicy, Restarts
from holdfast.ops.roles import EXIT_MISCONFIGURED, ROLES, Role
from holdfast.ops.settings import Project, RoleState, Runtime, Settings

LOG_BYTES = 8 << 20
LOG_FILES = 3
LINE_BYTES = 16_384
LOCK_WAIT_S = 2.0
OUTPUT_WAIT_S = 2.0
ANSWER_TIMEOUT_S = 60.0
POLL_S = 0.05
# The system's and our clock of when a process began may differ by so much.
START_TOLERANCE_MS = 10_000
OWN_NAME = "supervisor"

# (role, line)
Log = Callable[[str, str], None]


def silent(_role: str, _line: str) -> None:
    """A Log for those who only want the files."""


def is_up(project: Project) -> bool:
    """True if a supervisor runs for this project now, whatever an old runtime.json says."""
    if not project.lock_path.exists():
        return False
    try:
        with exclusive(project.lock_path, timeout_s=0, busy="", cure=""):
            return False
    except CommandError:
        return True


class _Child:
    """One role's process and its successors. Everything happens in one thread, besides `signal` and `stop`."""

    def __init__(self, role: Role, supervisor: "Supervisor", policy: RestartPolicy) -> None:
        self.role = role
        self.restarts = Restarts(policy)
        self.started_at_ms = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._supervisor = supervisor
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._log_file = _rotating_file(supervisor.project, role.name)
        self._output = threading.Thread()
        self._thread = threading.Thread(target=self._live, name=f"role-{role.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process id, None between a death and the next start."""
        process = self.process
        return process.pid if process and process.poll() is None else None

    def start(self) -> None:
        self._spawn()
        self._thread.start()

    def signal(self, number: int) -> None:
        process = self.process
        if process and process.poll() is None:
            process.send_signal(number)

    def stop(self) -> None:
        """Ask it to end, end it by force after its grace, and return when it is gone."""
        with self._lock:  # not between a look at `_stopping` and a start
            self._stopping.set()
        if self.process and not end(self.process, self.role.grace_s):
            self.say(f"did not end within {self.role.grace_s:.0f} s and was killed")
        for thread in (self._thread, self._output):
            if thread.is_alive():
                thread.join(OUTPUT_WAIT_S)
        self._log_file.close()

    def say(self, line: str) -> None:
        """Log a line of the supervisor's about this role."""
        self._supervisor.tell(OWN_NAME, f"{self.role.name} {line}")

    def _live(self) -> None:
        try:
            self._keep_alive()
        except Exception as exc:
            # A thread that fell over in silence would leave its role dead for ever.
            self._supervisor.give_up(f"{self.role.name} can no longer be supervised: {type(exc).__name__}: {exc}")

    def _keep_alive(self) -> None:
        while self.process:
            started_s = time.monotonic()
            code = self.process.wait()
            if self._stopping.is_set():
                return
            wait_s = self.restarts.after_exit(started_s=started_s, now_s=time.monotonic())
            if code == EXIT_MISCONFIGURED or wait_s is None:
                self._supervisor.give_up(self._why_given_up(code))
                return
            self.say(f"ended ({_explain(code)}) and is started again in {wait_s:.1f} s")
            self._stopping.wait(wait_s)
            with self._lock:
                if self._stopping.is_set():
                    return
                self._spawn()

    def _why_given_up(self, code: int) -> str:
        if code == EXIT_MISCONFIGURED:
            return f"{self.role.name} cannot work with these settings: see {self._log_file.baseFilename}"
        full = [f"the {disk.subject} is full, {disk}" for disk in disks_of(self._supervisor.project) if disk.full]
        why = "; ".join([f"last: {_explain(code)}", *full])
        times = self.restarts.policy.limit + 1
        return f"{self.role.name} ended {times} times in a row ({why}): see {self._log_file.baseFilename}"

    def _spawn(self) -> None:
        self.started_at_ms = time.time_ns() // 1_000_000
        self.process = spawn(
            self.role.arguments(),
            env=self._supervisor.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A Ctrl-C in the terminal is for the supervisor, which then stops its roles in order.
            start_new_session=True,
        )
        # Not in this thread: a grandchild may hold the pipe open long after the role has died.
        self._output = threading.Thread(target=self._keep_output, args=(self.process,), name="output", daemon=True)
        self._output.start()
        try:
            self._supervisor.publish()
        except OSError as exc:
            # The addresses are the same, and that is what others look for there.
            self.say(f"runs, but runtime.json does not say so: {exc}")

    def _keep_output(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        with process.stdout as pipe, suppress(ValueError, OSError):
            while line := pipe.readline(LINE_BYTES):
                text = line.decode(errors="replace").rstrip("\n")
                self._log_file.emit(logging.makeLogRecord({"msg": text}))
                self._supervisor.tell(self.role.name, text)


class _LogFile(RotatingFileHandler):
    """A log of a limited size. A line that a full disk does not take is missing there, and stops nothing."""

    def handleError(self, _record: logging.LogRecord) -> None:
        """Do nothing: whoever follows the supervisor has seen the line."""


def _rotating_file(project: Project, name: str) -> RotatingFileHandler:
    project.logs.mkdir(parents=True, exist_ok=True)
    return _LogFile(project.logs / f"{name}.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1)


def _explain(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Supervisor:
    """Runs `roles` for `project` until `stop`. `log` gets every line that a role or the supervisor itself says.

    Its children end with this process, however that ends. An object is good for one start.
    """

    def __init__(
        self,
        project: Project,
        settings: Settings,
        *,
        roles: Sequence[Role] = ROLES,
        log: Log = silent,
        policy: RestartPolicy | None = None,
    ) -> None:
        self.project = project
        self.log = log
        self.environment = settings.environment() | {"HOLDFAST_HOME": str(project.home)}
        self._settings = settings
        self._roles = tuple(roles)
        self._policy = policy or RestartPolicy()
        self._children: dict[str, _Child] = {}
        self._holding = ExitStack()
        self._runtime: Runtime | None = None
        self._publishing = threading.Lock()
        self._ended = threading.Event()
        self._failure: str | None = None

    @property
    def runtime(self) -> Runtime:
        """Addresses and processes as they are now. Raises CommandError before `start`."""
        if self._runtime is None:
            raise CommandError("the project is not up")
        return self._runtime

    def start(self) -> None:
        """Start every role that the settings want; return when the topics are right, and broker and bridge answer.

        Raises CommandError if the project is up already, or if a role is given up meanwhile; nothing runs then.
        """
        home = self.project.home
        busy, cure = f"a project runs in {home} already", "`holdfast down`, or another folder in HOLDFAST_HOME"
        lock = exclusive(self.project.lock_path, timeout_s=LOCK_WAIT_S, busy=busy, cure=cure)
        self._holding.enter_context(lock)
        try:
            self._end_leftovers()
            self._runtime = self._new_runtime()
            self.publish()
            self._start_roles()
            self._runtime = self._runtime.model_copy(update={"ready": True})
            self.publish()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all roles, the last started first. Nothing if nothing runs."""
        for child in reversed(list(self._children.values())):
            child.stop()
        self._children.clear()
        self._holding.close()
        self._ended.set()

    def wait(self) -> str | None:
        """Block until `stop` or until a role is given up; returns the reason in the latter case (then call `stop`)."""
        self._ended.wait()
        return self._failure

    def end(self) -> None:
        """Let `wait` return; fit to be called in a signal handler."""
        self._ended.set()

    def pid(self, role: str) -> int | None:
        """The process id of a role, None while it is down. Raises KeyError for a role that was not started."""
        return self._children[role].pid

    def signal(self, role: str, number: int) -> None:
        """Send a signal to a role's process, if it runs: SIGKILL is a crash, after which it is started again."""
        self._children[role].signal(number)

    def tell(self, role: str, line: str) -> None:
        """Pass a line on to `log`, whose own place may be the disk that is full."""
        with suppress(OSError):
            self.log(role, line)

    def give_up(self, reason: str) -> None:
        """Record that the project cannot go on; whoever is in `wait` stops it."""
        self._failure = self._failure or reason
        self._ended.set()

    def publish(self) -> None:
        """Write runtime.json as things are now."""
        with self._publishing:
            states = {
                name: RoleState(pid=child.process.pid, restarts=child.restarts.count, started_at_ms=child.started_at_ms)
                for name, child in list(self._children.items())
                if child.process
            }
            self._runtime = self.runtime.model_copy(update={"roles": states})
            self.project.write_runtime(self._runtime)

    def _start_roles(self) -> None:
        wanted = [role for role in self._roles if role.wanted(self._settings)]
        for role in self._roles:
            if role not in wanted:
                self.tell(OWN_NAME, f"{role.name} is not started: {role.unwanted_because}")
        brokers = [role for role in wanted if role.is_broker]
        with_topics = [role for role in wanted if role.needs_topics]
        if with_topics and not brokers and self._settings.bootstrap is None:
            names = ", ".join(role.name for role in with_topics)
            raise CommandError(
                f"{names} cannot work without a broker", cure="start broker too, or set HOLDFAST_BOOTSTRAP"
            )
        self._start_each(brokers)
        if brokers or with_topics:
            self._apply_topics()
        self._start_each([role for role in wanted if not role.is_broker])
        for role in wanted:
            if role.has_bridge:  # who comes next may want to read
                self._wait_until_answers(self.runtime.bridge_url, "the bridge", f"{role.name}.log")

    def _start_each(self, roles: Sequence[Role]) -> None:
        for role in roles:
            child = _Child(role, self, self._policy)
            self._children[role.name] = child
            child.start()
        self._raise_if_given_up()

    def _apply_topics(self) -> None:
        from holdfast.ops.topics import Status, ensure_topics

        settings, bootstrap = self._settings, self.runtime.bootstrap
        if settings.bootstrap is None:
            self._wait_until_answers(bootstrap, "the broker", "broker.log")
        applying = ensure_topics(bootstrap, settings.topic_prefix, settings.partitions, settings.replication)
        before = run_until_interrupted(applying)
        changed = [state.topic.name for state in before if state.status is not Status.OK]
        if changed:
            self.tell(OWN_NAME, f"topics created or corrected: {', '.join(changed)}")

    def _wait_until_answers(self, address: str, who: str, log: str) -> None:
        port = int(address.rpartition(":")[2])
        give_up_at = time.monotonic() + ANSWER_TIMEOUT_S
        while not answers(port):
            self._raise_if_given_up()
            if time.monotonic() > give_up_at:
                raise CommandError(
                    f"{who} did not answer in {ANSWER_TIMEOUT_S:.0f} s", cure=f"read {self.project.logs}/{log}"
                )
            time.sleep(POLL_S)

    def _raise_if_given_up(self) -> None:
        if self._failure:
            raise CommandError(self._failure)

    def _new_runtime(self) -> Runtime:
        before = self.project.read_runtime()
        port = int(before.bootstrap.rpartition(":")[2]) if before else 0
        # Clients may have noted the port of the last time.
        own = f"{HOST}:{port if port and is_free(port) else free_port()}"
        return Runtime(
            bootstrap=self._settings.bootstrap or own,
            bridge_url=f"http://{HOST}:{free_port()}",
            bridge_token=secrets.token_urlsafe(24),
            supervisor_pid=os.getpid(),
        )

    def _end_leftovers(self) -> None:
        """End the roles of a supervisor that was killed, where the system has not done so."""
        before = self.project.read_runtime()
        leftovers = [state for state in before.roles.values() if _is_same_process(state)] if before else []
        processes = [psutil.Process(state.pid) for state in leftovers if psutil.pid_exists(state.pid)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)


def _is_same_process(state: RoleState) -> bool:
    try:
        began_ms = psutil.Process(state.pid).create_time() * 1000
    except psutil.NoSuchProcess:
        return False
    return abs(began_ms - state.started_at_ms) < START_TOLERANCE_MS
