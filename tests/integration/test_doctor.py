"""The doctor names what is off and what cures it, and never falls over."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdfast.ops.doctor import Finding, Severity, examine
from holdfast.ops.embedded.broker import Broker
from holdfast.ops.roles import Role
from holdfast.ops.settings import Project, Settings
from holdfast.ops.supervisor import Supervisor


def about(findings: list[Finding], subject: str) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


@pytest.fixture
def model_server() -> Iterator[str]:
    """The address of a server with one model below /v1, which wants the key `right`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = 404 if self.path != "/v1/models" else 200
            if status == 200 and self.headers.get("Authorization") != "Bearer right":
                status = 401
            body = json.dumps({"data": [{"id": "small"}]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_project_that_is_down_is_a_finding_with_its_cure(project: Project, cache_dir: Path) -> None:
    findings = examine(Settings(home=project.home, cache_dir=cache_dir), project)
    down = about(findings, "project")
    assert (down.severity, down.cure) == (Severity.BROKEN, "`holdfast up`")
    assert [f for f in findings if f.severity is Severity.BROKEN] == [down]
    assert about(findings, "java").finding.startswith("25.")
    assert about(findings, "schemas").severity is Severity.OK


def test_an_empty_cache_is_a_warning_and_setup_its_cure(project: Project, tmp_path: Path) -> None:
    found = about(examine(Settings(home=project.home, cache_dir=tmp_path / "empty"), project), "cache")
    assert found.severity is Severity.WARNING
    assert "jars" in found.finding
    assert found.cure == "`holdfast setup`"


def test_a_damaged_runtime_file_is_a_finding(project: Project) -> None:
    project.home.mkdir()
    project.lock_path.touch()
    project.runtime_path.write_text("{")
    # Only a running project's file is read.
    assert "runtime.json" not in {finding.subject for finding in examine(Settings(home=project.home), project)}
    from holdfast.ops.embedded.locking import exclusive

    with exclusive(project.lock_path, timeout_s=1, busy="", cure=""):
        assert about(examine(Settings(home=project.home), project), "runtime.json").severity is Severity.BROKEN


def test_a_broker_with_its_topics_is_well_and_one_without_is_not(
    broker: Broker, topics: str, project: Project, cache_dir: Path
) -> None:
    settings = Settings(home=project.home, cache_dir=cache_dir, bootstrap=broker.bootstrap, topic_prefix=topics)
    findings = examine(settings, project)
    assert {finding.severity for finding in findings} == {Severity.OK, Severity.NOTE}
    assert about(findings, "broker").severity is Severity.OK
    assert about(findings, "topics").severity is Severity.OK
    assert about(findings, "clock").severity is Severity.OK

    findings = examine(settings.model_copy(update={"topic_prefix": "nobody."}), project)
    missing = about(findings, "topic nobody.journal")
    assert (missing.severity, missing.cure) == (Severity.BROKEN, "`holdfast topics apply`")


def test_a_broker_that_is_gone_is_a_finding(project: Project) -> None:
    found = about(examine(Settings(home=project.home, bootstrap="127.0.0.1:1"), project), "broker")
    assert found.severity is Severity.BROKEN
    assert "no Kafka broker answers" in found.finding


def test_a_role_that_keeps_dying_is_a_warning_and_a_silent_bridge_is_broken(
    supervise: Callable[..., Supervisor], stand_in: Callable[..., Role], project: Project, cache_dir: Path
) -> None:
    supervise(stand_in("sink", "import time; time.sleep(600)")).start()
    runtime = project.read_runtime()
    assert runtime is not None
    state = runtime.roles["sink"].model_copy(update={"restarts": 9})
    project.write_runtime(runtime.model_copy(update={"roles": {"sink": state}}))
    findings = examine(Settings(home=project.home, cache_dir=cache_dir), project)
    assert about(findings, "sink").severity is Severity.WARNING
    assert about(findings, "ClickHouse bridge").severity is Severity.BROKEN


@pytest.mark.parametrize(
    ("path", "key", "name", "severity", "says"),
    [
        ("/v1", "right", "small", Severity.OK, "lists 1 models"),
        ("/v1", "right", "huge", Severity.WARNING, "small"),
        ("/v1", "wrong", "small", Severity.BROKEN, "HOLDFAST_MODEL_API_KEY"),
        ("", "right", "small", Severity.BROKEN, "/v1"),
    ],
)
def test_the_model_server_is_asked(
    model_server: str, project: Project, path: str, key: str, name: str, severity: Severity, says: str
) -> None:
    settings = Settings(
        home=project.home,
        model_base_url=model_server + path,
        model_api_key=SecretStr(key),
        model_name=name,
    )
    found = about(examine(settings, project, ask_model=True), "model")
    assert found.severity is severity
    assert says in found.finding + found.cure
    assert key not in found.finding + found.cure


def test_a_model_server_that_is_not_there_is_a_finding(project: Project) -> None:
    settings = Settings(home=project.home, model_base_url="http://127.0.0.1:1/v1")
    found = about(examine(settings, project, ask_model=True), "model")
    assert found.severity is Severity.BROKEN
    assert "start the model's server" in found.cure
