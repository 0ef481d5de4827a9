"""Settings come from the environment, then from holdfast.toml, then from the defaults; runtime.json is read whole."""

import json
import os
import threading
from pathlib import Path

import pytest

from holdfast.ops.errors import CommandError
from holdfast.ops.settings import Project, RoleState, Runtime, Settings, load_settings

RUNTIME = Runtime(
    bootstrap="127.0.0.1:9092", bridge_url="http://127.0.0.1:8123", bridge_token="token", supervisor_pid=os.getpid()
)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("HOLDFAST_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_an_embedded_project_in_this_folder() -> None:
    settings = Settings()
    assert settings.home == Path(".holdfast")
    assert settings.bootstrap is None
    assert settings.clickhouse_dsn is None
    assert (settings.topic_prefix, settings.partitions, settings.tenant) == ("holdfast.", 4, "default")


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("holdfast.toml").write_text('partitions = 8\ntenant = "file"\ntool_modules = ["a", "b.c"]\nmodel_name = "m"\n')
    monkeypatch.setenv("HOLDFAST_TENANT", "environment")
    settings = Settings()
    assert (settings.partitions, settings.tenant) == (8, "environment")
    assert settings.tool_modules == ("a", "b.c")
    assert settings.model_name == "m"


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_BOOTSTRAP", "")
    monkeypatch.setenv("HOLDFAST_PARTITIONS", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    settings = Settings()
    assert (settings.bootstrap, settings.partitions, settings.model_api_key) == (None, 4, None)


def test_the_model_falls_back_to_the_names_that_everybody_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://other/v1")
    monkeypatch.setenv("OPENAI_MODEL", "general")
    monkeypatch.setenv("HOLDFAST_MODEL_NAME", "own")
    settings = Settings()
    assert (settings.model_base_url, settings.model_name) == ("http://other/v1", "own")


def test_modules_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_TOOL_MODULES", "shop.tools, mail.tools,")
    assert Settings().tool_modules == ("shop.tools", "mail.tools")


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    assert "very-secret" not in repr(Settings())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARTITIONS", "0"),
        ("PARTITIONS", "many"),
        ("TOPIC_PREFIX", "UPPER/"),
        ("EXECUTOR_SLOTS", "0"),
        ("TENANT", "a/b"),
    ],
)
def test_a_value_that_cannot_be_is_a_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"HOLDFAST_{name}", value)
    with pytest.raises(CommandError, match=name.lower()):
        load_settings()


def test_a_name_in_the_file_that_is_no_setting_is_refused() -> None:
    Path("holdfast.toml").write_text("partitons = 8\n")
    with pytest.raises(CommandError, match="partitons"):
        load_settings()


def test_settings_survive_the_way_through_an_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = Settings(home=tmp_path / "h", cache_dir=tmp_path / "c", tool_modules=("a", "b"), session_timeout_ms=7_000)
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == given


def test_runtime_comes_back_as_it_was_written(tmp_path: Path) -> None:
    project = Project(home=tmp_path / "new")
    assert project.read_runtime() is None
    runtime = RUNTIME.model_copy(update={"roles": {"sink": RoleState(pid=7, restarts=1, started_at_ms=123)}})
    project.write_runtime(runtime)
    assert project.read_runtime() == runtime
    assert json.loads(project.runtime_path.read_text())["roles"]["sink"] == {
        "pid": 7,
        "restarts": 1,
        "started_at_ms": 123,
    }


def test_a_damaged_runtime_is_a_sentence(tmp_path: Path) -> None:
    project = Project(home=tmp_path)
    project.runtime_path.write_text('{"bootstrap": ')
    with pytest.raises(CommandError, match="is damaged"):
        project.read_runtime()


def test_a_reader_never_sees_half_a_runtime(tmp_path: Path) -> None:
    project = Project(home=tmp_path)
    project.write_runtime(RUNTIME)
    long = RUNTIME.model_copy(update={"bridge_token": "x" * 200_000})

    def write() -> None:
        for n in range(100):
            project.write_runtime(long if n % 2 else RUNTIME)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert project.read_runtime() in (RUNTIME, long)
    writer.join()
    assert not list(tmp_path.glob("runtime-*"))
