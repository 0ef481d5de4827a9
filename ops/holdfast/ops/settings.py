"""What can be set, and where: the only place that reads the environment. And where a project keeps its files."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from platformdirs import user_cache_dir
from pydantic import AliasChoices, BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import TomlConfigSettingsSource as TomlSource

from holdfast.ops.errors import CommandError
from holdfast.schemas.topics import DEFAULT_PARTITIONS, DEFAULT_PREFIX

ENV_PREFIX = "HOLDFAST_"
TOML_FILE = "holdfast.toml"


def _or_openai(name: str, openai: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(f"{ENV_PREFIX}{name}", openai))


class Settings(BaseSettings):
    """All settings. From HOLDFAST_<NAME> in the environment, else from `holdfast.toml`, else the default.

    An empty variable counts as not set. The three of the model also go by their OPENAI_ names.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        toml_file=TOML_FILE,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
    )

    home: Path = Field(default=Path(".holdfast"), description="Folder of the project's data, logs and runtime.json.")
    cache_dir: Path = Field(
        default_factory=lambda: Path(user_cache_dir("holdfast")),
        description="What all projects share: the broker's jars and its AOT cache.",
    )
    maven_url: str | None = Field(default=None, description="A mirror of Maven Central; None is Maven Central itself.")
    bootstrap: str | None = Field(default=None, description="Kafka's host:port; None is the embedded broker.")
    topic_prefix: str = Field(
        default=DEFAULT_PREFIX, pattern=r"^[a-z0-9.-]*$", description="Begins every topic's name."
    )
    partitions: int = Field(
        default=DEFAULT_PARTITIONS, ge=1, le=1024, description="Partitions of topics keyed by workflow."
    )
    replication: int = Field(default=1, ge=1, le=9, description="Copies of each topic; 1 for the embedded broker.")
    tenant: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="Tenant of the commands.")
    tool_modules: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Importable modules that declare tools; in the environment separated by commas."
    )
    model_base_url: str | None = _or_openai("MODEL_BASE_URL", "OPENAI_BASE_URL")
    model_api_key: SecretStr | None = _or_openai("MODEL_API_KEY", "OPENAI_API_KEY")
    model_name: str | None = _or_openai("MODEL_NAME", "OPENAI_MODEL")
    content_url: str | None = Field(
        default=None,
        description="Where large bodies are kept: file:///folder, s3://bucket/prefix and the like; None is a folder.",
    )
    executor_slots: int = Field(default=8, ge=1, le=1024, description="Tasks that one executor works on at a time.")
    executor_spare_slots: int = Field(
        default=2, ge=0, le=1024, description="Further ones, for tenants and classes of tasks that have none at work."
    )
    instance_id: str | None = Field(
        default=None, description="Name of this worker among its kind; must be unique and stable."
    )
    bridge_url: str | None = Field(
        default=None, description="Where the sink answers queries; None is where the running project says."
    )
    bridge_token: SecretStr | None = Field(default=None, description="What the bridge asks for, if bridge_url is set.")
    clickhouse_dsn: str | None = Field(default=None, description="A ClickHouse server; None is the embedded chDB.")
    session_timeout_ms: int = Field(
        default=10_000,
        ge=1_000,
        le=300_000,
        description="Silence after which Kafka gives a worker's partitions to another.",
    )

    @field_validator("tool_modules", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then `holdfast.toml` of the working directory."""
        return init_settings, env_settings, TomlSource(settings_cls)

    def environment(self) -> dict[str, str]:
        """This process's environment with these settings in it: what a child needs to read the same ones."""
        own = {ENV_PREFIX + name.upper(): _as_text(value) for name, value in self if value is not None}
        return dict(os.environ) | own | {"PYTHONUNBUFFERED": "1"}


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value.absolute() if isinstance(value, Path) else value)


def load_settings(**overrides: Any) -> Settings:
    """The settings in force, with `overrides` above all else. Raises CommandError if one has no valid value."""
    try:
        return Settings(**overrides)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise CommandError(
            f"the setting {name} is not valid: {first['msg']}", cure=f"correct it in the environment or in {TOML_FILE}"
        ) from exc


class RoleState(BaseModel):
    """One role's process: its id, when it was started (ms since the epoch), how often it had to be started again."""

    pid: int
    restarts: int
    started_at_ms: int


class Runtime(BaseModel):
    """What a running project tells its commands: where Kafka and ClickHouse answer, and which processes there are.

    `ready` is true once every role has been started.
    """

    bootstrap: str
    bridge_url: str
    bridge_token: str
    supervisor_pid: int
    ready: bool = False
    roles: Mapping[str, RoleState] = {}


@dataclass(frozen=True)
class Project:
    """A project's folder and the names in it."""

    home: Path

    @property
    def data(self) -> Path:
        """What must survive: one folder per role."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """ROLE.log and its predecessors."""
        return self.home / "logs"

    @property
    def runtime_path(self) -> Path:
        """Written by the supervisor, read by everybody else."""
        return self.home / "runtime.json"

    @property
    def lock_path(self) -> Path:
        """Locked by the supervisor as long as it lives."""
        return self.home / "supervisor.lock"

    def read_runtime(self) -> Runtime | None:
        """The latest runtime.json, None if there is none. Raises CommandError if it cannot be read.

        A supervisor that was killed leaves its file behind: `supervisor.is_up` tells.
        """
        try:
            return Runtime.model_validate_json(self.runtime_path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as exc:
            raise CommandError(f"{self.runtime_path} is damaged: {exc}", cure="remove it, then `holdfast up`") from exc

    def write_runtime(self, runtime: Runtime) -> None:
        """Replace runtime.json at one stroke; only its owner may read it, since it holds the bridge's token.

        Raises OSError, and leaves the old one, if the disk does not take it.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        descriptor, fresh = tempfile.mkstemp(prefix="runtime-", dir=self.home)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(runtime.model_dump_json(indent=2))
            os.replace(fresh, self.runtime_path)
        except OSError:
            os.unlink(fresh)
            raise


def project_of(settings: Settings) -> Project:
    """The project that the settings point to."""
    return Project(home=settings.home.absolute())
