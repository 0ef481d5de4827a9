"""Stand-in servers as child processes, for the demo, the chaos programs and tests."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from holdfast.ops.embedded.tether import end, kill, spawn

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 10.0


class ChildServerError(Exception):
    """A stand-in server did not start; the text has the end of what it said."""


class ChildServer:
    """A server process that keeps its files below `home` and ends with this process.

    `program` is what follows `python`, such as `["-m", "holdfast.ops.scripted_model"]`. A server that is started
    again has the port and the journal of before.
    """

    def __init__(self, program: Sequence[str], home: Path, *, port: int = 0) -> None:
        self.home = home
        self.journal_file = home / "journal.jsonl"
        self._program = list(program)
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it listens. Raises ChildServerError."""
        self.home.mkdir(parents=True, exist_ok=True)
        port_file = self.home / "port"
        port_file.unlink(missing_ok=True)
        options = ["--port", str(self._port), "--port-file", str(port_file), "--journal", str(self.journal_file)]
        with (self.home / "server.log").open("ab") as log:
            self._process = spawn(
                [sys.executable, *self._program, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not port_file.exists():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                self.kill()
                said = (self.home / "server.log").read_bytes()[-2000:].decode(errors="replace")
                raise ChildServerError(f"{' '.join(self._program)} did not start: {said}")
            time.sleep(0.02)
        self._port = int(port_file.read_text())

    @property
    def url(self) -> str:
        """Address of the running server, without a trailing slash."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Its process id, or None if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def stop(self) -> None:
        """Stop it (SIGTERM), by force if it takes too long."""
        if self._process is not None:
            end(self._process, STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would."""
        if self._process is not None:
            kill(self._process)

    def __enter__(self) -> "ChildServer":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer to a request. Raises urllib.error.HTTPError for an error status."""
        request = urllib.request.Request(  # noqa: S310 - the address is our own
            self.url + path,
            method=method,
            data=None if body is None else orjson.dumps(body),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:  # noqa: S310
            return orjson.loads(answer.read())

    def journal(self) -> list[dict[str, Any]]:
        """Everything that the server has recorded, oldest first."""
        entries: list[dict[str, Any]] = self.request("GET", "/journal")["entries"]
        return entries


class ScriptedModel(ChildServer):
    """A scripted model server that answers out of `script`."""

    def __init__(self, script: Path, home: Path, *, port: int = 0) -> None:
        super().__init__(["-m", "holdfast.ops.scripted_model", "--script", str(script)], home, port=port)

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    def add_fault(self, fault: Mapping[str, Any]) -> None:
        """Let something go wrong; the fields are those of `Fault`."""
        self.request("POST", "/faults", fault)

    def paid_calls(self) -> list[dict[str, Any]]:
        """The calls that a provider would have charged for, oldest first."""
        return [entry for entry in self.journal() if entry["entry"] == "call" and entry["paid"]]
