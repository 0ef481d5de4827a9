"""docker-compose.yml runs every role, with settings that exist and are valid."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.ops.roles import ROLES
from holdfast.ops.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "holdfast"}
WORKERS = [role.name for role in ROLES if not role.is_broker]


def with_defaults(value: str) -> str:
    """What compose makes of ${NAME:-default} when NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


@pytest.mark.parametrize("role", WORKERS)
def test_every_role_has_a_container(role: str) -> None:
    assert SERVICES[role]["command"] == ["run", role]


def test_there_are_no_other_containers_of_ours() -> None:
    assert set(OURS) == {*WORKERS, "topics"}


@pytest.mark.parametrize("name", OURS)
def test_a_container_gets_settings_that_exist_and_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {key: with_defaults(value) for key, value in OURS[name]["environment"].items()}
    assert {key.removeprefix(ENV_PREFIX).lower() for key in environment} <= set(Settings.model_fields)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    settings = Settings()
    assert settings.bootstrap == "kafka:19092"


def test_all_containers_use_the_same_topics() -> None:
    shared = ("HOLDFAST_BOOTSTRAP", "HOLDFAST_TOPIC_PREFIX", "HOLDFAST_PARTITIONS", "HOLDFAST_TENANT")
    assert len({tuple(service["environment"][key] for key in shared) for service in OURS.values()}) == 1


def test_workers_wait_for_the_topics_and_the_topics_for_the_broker() -> None:
    assert SERVICES["topics"]["depends_on"]["kafka"]["condition"] == "service_healthy"
    for role in WORKERS:
        assert SERVICES[role]["depends_on"]["topics"]["condition"] == "service_completed_successfully"


def test_ports_are_open_to_this_machine_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_volumes_and_build_files_exist() -> None:
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith((".", "/"))
    }
    assert used == set(COMPOSE["volumes"])
    assert {service["build"]["dockerfile"] for service in OURS.values()} == {"ops/docker/Dockerfile"}
    dockerfile = (ROOT / "ops/docker/Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (.*)$", dockerfile, flags=re.MULTILINE) for name in line.split()[:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
