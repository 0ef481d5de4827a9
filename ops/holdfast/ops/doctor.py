"""`holdfast doctor`: looks at everything a project needs and says, for each thing that is off, what cures it."""

import asyncio
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from holdfast.ops.disk import CURE, disk_of, disks_of
from holdfast.ops.errors import CommandError
from holdfast.ops.roles import ROLES
from holdfast.ops.settings import Project, Runtime, Settings
from holdfast.ops.supervisor import is_up

SKEW_MS = 2_000
HTTP_TIMEOUT_S = 5.0
BODY_BYTES = 1 << 20
KAFKA_TIMEOUT_S = 10.0
RESTARTS_MANY = 3


class Severity(StrEnum):
    """How bad a finding is. Only `broken` makes the command fail."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, and what to do about it (empty if nothing)."""

    severity: Severity
    subject: str
    finding: str
    cure: str = ""

    def as_row(self) -> dict[str, str]:
        """Plain strings, for a table or JSON."""
        return {"severity": str(self.severity), "subject": self.subject, "finding": self.finding, "cure": self.cure}


@dataclass(frozen=True)
class Patient:
    """What the examinations look at. `runtime` is None if the project does not run now."""

    settings: Settings
    project: Project
    runtime: Runtime | None

    @property
    def bootstrap(self) -> str | None:
        """Kafka's host:port as far as it is known."""
        return self.settings.bootstrap or (self.runtime.bootstrap if self.runtime else None)

    @property
    def bridge_url(self) -> str | None:
        """Where the sink should answer queries, as far as it is known."""
        has_sink = self.runtime is not None and "sink" in self.runtime.roles
        return self.settings.bridge_url or (self.runtime.bridge_url if self.runtime and has_sink else None)


Examination = Callable[[Patient], Iterator[Finding]]


def examine(settings: Settings, project: Project, *, ask_model: bool = False) -> list[Finding]:
    """All findings, in a fixed order. Never raises: an examination that fails is itself a finding."""
    try:
        runtime = project.read_runtime() if is_up(project) else None
        damage = []
    except CommandError as exc:
        runtime, damage = None, [Finding(Severity.BROKEN, "runtime.json", str(exc), exc.cure)]
    patient = Patient(settings=settings, project=project, runtime=runtime)
    examinations = [*EXAMINATIONS, *([("model", _model)] if ask_model else [])]
    return damage + [finding for subject, look in examinations for finding in _guarded(subject, look, patient)]


def _guarded(subject: str, look: Examination, patient: Patient) -> list[Finding]:
    findings: list[Finding] = []
    try:
        # One by one: what was found before the failure counts too.
        findings.extend(look(patient))
    except CommandError as exc:
        findings.append(Finding(Severity.BROKEN, subject, str(exc), exc.cure))
    except Exception as exc:
        findings.append(Finding(Severity.BROKEN, subject, f"{type(exc).__name__}: {exc}"))
    return findings


def _java(patient: Patient) -> Iterator[Finding]:
    from holdfast.ops.embedded.java import java_home

    if patient.settings.bootstrap:
        return
    home = java_home()
    if not (home / "bin" / "java").is_file():
        yield Finding(
            Severity.BROKEN, "java", f"no Java runtime in {home}", "install it: pip install 'holdfast[embedded]'"
        )
        return
    release = dict(line.split("=", 1) for line in (home / "release").read_text().splitlines() if "=" in line)
    yield Finding(Severity.OK, "java", f"{release.get('JAVA_VERSION', '?').strip(chr(34))} in {home}")


def _cache(patient: Patient) -> Iterator[Finding]:
    from holdfast.ops.embedded.kit import missing_parts

    if patient.settings.bootstrap:
        return
    missing = missing_parts(patient.settings.cache_dir)
    where = patient.settings.cache_dir
    if missing:
        yield Finding(Severity.WARNING, "cache", f"{where} lacks {', '.join(missing)}", "`holdfast setup`")
    else:
        yield Finding(Severity.OK, "cache", f"jars, data template and AOT cache are in {where}")


def _disk(patient: Patient) -> Iterator[Finding]:
    for disk in (*disks_of(patient.project), disk_of("disk of the cache", patient.settings.cache_dir)):
        if disk.full:
            yield Finding(Severity.BROKEN, disk.subject, str(disk), CURE)
        elif disk.low:
            yield Finding(Severity.WARNING, disk.subject, str(disk), CURE)
        else:
            yield Finding(Severity.OK, disk.subject, str(disk))


def _schemas(_patient: Patient) -> Iterator[Finding]:
    from holdfast.schemas.catalog import schemas_by_id
    from holdfast.schemas.codec import record_types, schema_of

    for cls in record_types().values():
        schema_of(cls)
    yield Finding(Severity.OK, "schemas", f"{len(schemas_by_id())} schemas, every record has one")


def _project(patient: Patient) -> Iterator[Finding]:
    if patient.runtime is None:
        # With a broker elsewhere the roles may run elsewhere too.
        severity = Severity.NOTE if patient.settings.bootstrap else Severity.BROKEN
        yield Finding(severity, "project", f"nothing runs in {patient.project.home}", "`holdfast up`")
        return
    for role in ROLES:
        state = patient.runtime.roles.get(role.name)
        if state is None:
            wanted = role.wanted(patient.settings)
            why = "was not asked for" if wanted else role.unwanted_because
            yield Finding(Severity.NOTE, role.name, f"not started: {why}")
        elif state.restarts > RESTARTS_MANY:
            log = patient.project.logs / f"{role.name}.log"
            yield Finding(Severity.WARNING, role.name, f"has been started again {state.restarts} times", f"read {log}")
        else:
            yield Finding(Severity.OK, role.name, f"process {state.pid}")


def _broker(patient: Patient) -> Iterator[Finding]:
    if patient.bootstrap is None:
        return  # said by `_project`
    yield from asyncio.run(asyncio.wait_for(_ask_broker(patient, patient.bootstrap), KAFKA_TIMEOUT_S * 2))


async def _ask_broker(patient: Patient, bootstrap: str) -> list[Finding]:
    from holdfast.ops.topics import Status, admin_client, check_topics

    settings = patient.settings
    async with admin_client(bootstrap) as admin:
        cluster = await admin.describe_cluster()
    findings = [
        Finding(Severity.OK, "broker", f"{_version(patient)}, {len(cluster['brokers'])} node(s), at {bootstrap}")
    ]
    states = await check_topics(bootstrap, settings.topic_prefix, settings.partitions)
    wrong = [state for state in states if state.status is not Status.OK]
    findings += [
        Finding(Severity.BROKEN, f"topic {state.name}", str(state.status), "`holdfast topics apply`") for state in wrong
    ]
    if not wrong:
        findings.append(Finding(Severity.OK, "topics", f"{len(states)} as they should be"))
    findings.append(await _clock(bootstrap, settings.topic_prefix))
    return findings


def _version(patient: Patient) -> str:
    from holdfast.ops.embedded.jars import committed_lock

    # The protocol does not tell a version; of the embedded broker the lock does.
    return "Kafka" if patient.settings.bootstrap else f"Kafka {committed_lock().kafka_version}, embedded"


async def _clock(bootstrap: str, prefix: str) -> Finding:
    """Compare clocks by way of a topic that exists for a moment: only appending shows the broker's time."""
    from aiokafka import AIOKafkaProducer
    from aiokafka.admin import NewTopic
    from aiokafka.errors import KafkaError

    from holdfast.ops.topics import admin_client

    topic = f"{prefix}doctor-{uuid.uuid4().hex[:12]}"
    probe = NewTopic(topic, 1, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})
    async with admin_client(bootstrap) as admin:
        await admin.create_topics([probe])
        try:
            async with AIOKafkaProducer(bootstrap_servers=bootstrap, request_timeout_ms=5_000) as producer:
                await producer.send_and_wait(topic, b"warm-up: connects and finds the leader")
                before_ms = time.time_ns() // 1_000_000
                appended = await producer.send_and_wait(topic, b"what time is it?")
                after_ms = time.time_ns() // 1_000_000
        except KafkaError as exc:
            return Finding(Severity.NOTE, "clock", f"could not be compared with the broker's: {exc!r}")
        finally:
            await admin.delete_topics([topic])
    skew_ms = max(before_ms - appended.timestamp, appended.timestamp - after_ms, 0)
    if skew_ms > SKEW_MS:
        said = f"this machine's clock and the broker's are {skew_ms} ms apart; deadlines go by the broker's"
        return Finding(Severity.WARNING, "clock", said, "synchronise both (NTP)")
    return Finding(Severity.OK, "clock", f"within {max(skew_ms, after_ms - before_ms)} ms of the broker's")


def _bridge(patient: Patient) -> Iterator[Finding]:
    url = patient.bridge_url
    if url is None:
        return
    log = patient.project.logs / "sink.log"
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=HTTP_TIMEOUT_S) as answer:  # noqa: S310 - our own address
            said = answer.read(100).decode(errors="replace").strip()
    except OSError as exc:
        yield Finding(Severity.BROKEN, "ClickHouse bridge", f"{url} does not answer: {exc}", f"read {log}")
        return
    yield Finding(Severity.OK, "ClickHouse bridge", f"{url} says {said}")
    yield _projections(patient)


def _projections(patient: Patient) -> Finding:
    from holdfast.ops.roles import bridge_of
    from holdfast.ops.standstill import standstill
    from holdfast.projections.client import ClickHouse

    url, token = bridge_of(patient.settings, patient.project)
    trouble = ClickHouse(url=url, token=token, timeout_s=HTTP_TIMEOUT_S).trouble()
    if trouble is None:
        return Finding(Severity.OK, "projections", "the sink stores what it reads")
    problem = standstill(trouble)
    return Finding(Severity.BROKEN, "projections", str(problem), problem.cure)


def _model(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    base_url = (settings.model_base_url or "").rstrip("/")
    if not base_url:
        cure = "set HOLDFAST_MODEL_BASE_URL, such as http://127.0.0.1:8080/v1"
        yield Finding(Severity.BROKEN, "model", "no address is set", cure)
        return
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else ""
    status, body = _get(f"{base_url}/models", key)
    if status != 200:
        yield Finding(
            Severity.BROKEN, "model", f"GET {base_url}/models: {status or body}", _cure_of(status, base_url, key)
        )
        return
    names = _model_names(body)
    if settings.model_name and names and settings.model_name not in names:
        said = f"{base_url} does not list {settings.model_name}; it has {', '.join(names[:10])}"
        yield Finding(Severity.WARNING, "model", said, "set HOLDFAST_MODEL_NAME to one of them")
        return
    yield Finding(Severity.OK, "model", f"{base_url} answers and lists {len(names)} models")


def _cure_of(status: int, base_url: str, key: str) -> str:
    if status in (401, 403):
        return "set HOLDFAST_MODEL_API_KEY to a key that this server accepts"
    if status == 404 and not base_url.endswith("/v1") and _get(f"{base_url}/v1/models", key)[0] == 200:
        return f"the address lacks its version path: set HOLDFAST_MODEL_BASE_URL={base_url}/v1"
    if status == 404:
        return "the address should end where the API begins, usually with /v1"
    return "start the model's server, or correct HOLDFAST_MODEL_BASE_URL"


def _get(url: str, key: str) -> tuple[int, str]:
    """HTTP status and body; status 0 and the reason if there was no answer."""
    if not url.startswith(("http://", "https://")):
        return 0, "not an HTTP address"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:  # noqa: S310
            return answer.status, answer.read(BODY_BYTES).decode(errors="replace")
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.reason
    except OSError as exc:
        return 0, f"no answer ({getattr(exc, 'reason', exc)})"


def _model_names(body: str) -> list[str]:
    try:
        return [str(entry["id"]) for entry in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


EXAMINATIONS: tuple[tuple[str, Examination], ...] = (
    ("java", _java),
    ("cache", _cache),
    ("disk", _disk),
    ("schemas", _schemas),
    ("project", _project),
    ("broker", _broker),
    ("ClickHouse bridge", _bridge),
)
