"""A real Apache Kafka broker as a child process: start, wait, stop, kill, start again on the same folder and port."""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from holdfast.ops.embedded.kit import Kit, prepare
from holdfast.ops.embedded.ports import HOST, answers, free_port
from holdfast.ops.embedded.properties import LOGGING, server_properties
from holdfast.ops.embedded.tether import end, kill, spawn
from holdfast.ops.errors import CommandError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.05


@dataclass(frozen=True)
class Files:
    """Where a broker keeps what it owns, below its home."""

    home: Path

    @property
    def data(self) -> Path:
        """The log: what must survive."""
        return self.home / "data"

    @property
    def properties(self) -> Path:
        """Written anew at each start."""
        return self.home / "server.properties"

    @property
    def logging(self) -> Path:
        """Written anew at each start."""
        return self.home / "log4j2.properties"

    @property
    def scratch(self) -> Path:
        """Java's temporary folder; native libraries are unpacked there, so it must allow execution."""
        return self.home / "tmp"

    @property
    def output(self) -> Path:
        """What the broker of the latest start has said."""
        return self.home / "broker.log"


def broker_command(
    kit: Kit, home: Path, *, port: int, controller_port: int, aot_output: Path | None = None
) -> list[str]:
    """The argument list of a broker that keeps its data below `home`; writes its files there first.

    With `aot_output` the broker writes an AOT cache there when it is stopped, instead of using the kit's.
    """
    own = Files(home)
    own.scratch.mkdir(parents=True, exist_ok=True)
    if not own.data.is_dir():
        # By way of a rename: a copy that was cut short must not look like a broker's data.
        partial = home / "data.new"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(kit.template, partial)
        partial.rename(own.data)
    own.properties.write_text(server_properties(data=own.data, port=port, controller_port=controller_port))
    own.logging.write_text(LOGGING)
    flags = [
        f"-Dlog4j2.configurationFile={own.logging}",
        f"-Djava.io.tmpdir={own.scratch}",
    ]
    if aot_output:
        flags.append(f"-XX:AOTCacheOutput={aot_output}")
    elif kit.aot.is_file():
        flags.append(f"-XX:AOTCache={kit.aot}")
    return kit.java.command("kafka.Kafka", str(own.properties), flags=flags)


class Broker:
    """One broker below `home`, from the kit in `cache`, on `port` of the loopback address (a free one if None).

    The port is kept for the life of the object. The broker ends with this process, however that ends.
    """

    def __init__(self, home: Path, cache: Path, port: int | None = None) -> None:
        self.files = Files(home)
        self.port = port or free_port()
        self._cache = cache
        self._controller_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id, or None if the broker does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, aot_output: Path | None = None) -> None:
        """Start the process; it answers only after `wait_ready`. Raises CommandError if it runs already."""
        if self.pid is not None:
            raise CommandError(f"this broker runs already, as process {self.pid}")
        command = broker_command(
            prepare(self._cache),
            self.files.home,
            port=self.port,
            controller_port=self._controller_port,
            aot_output=aot_output,
        )
        with self.files.output.open("wb") as output:
            self._process = spawn(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    def wait_ready(self, timeout: float = START_TIMEOUT_S) -> None:
        """Return when the broker answers clients, within `timeout` seconds. Raises CommandError if it does not."""
        give_up_at = time.monotonic() + timeout
        while time.monotonic() < give_up_at:
            if self.pid is None:
                raise CommandError(f"the broker ended while starting: {self.tail()}", cure=f"read {self.files.output}")
            # The client listener opens last, when the broker has caught up with its metadata.
            if answers(self.port):
                return
            time.sleep(POLL_S)
        raise CommandError(
            f"the broker did not answer in {timeout:.0f} s: {self.tail()}", cure=f"read {self.files.output}"
        )

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> None:
        """Stop cleanly (SIGTERM), and by force if that takes longer than `timeout` seconds. Nothing if not running."""
        if self._process is not None:
            end(self._process, timeout)

    def kill(self) -> None:
        """End at once (SIGKILL), as a crash would. Nothing if not running."""
        if self._process is not None:
            kill(self._process)

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def tail(self, characters: int = 2000) -> str:
        """The end of what the broker has said."""
        if not self.files.output.is_file():
            return ""
        return self.files.output.read_bytes()[-characters:].decode(errors="replace").strip()
