"""Registries: tools by name, out of modules that people name in their settings."""

from pathlib import Path

import pytest

from holdfast.tools import RegistryError, ToolRegistry, registry_from_modules, tool


@tool(effect="read")
def ping() -> str:
    """Ping."""
    return "pong"


@tool(effect="read", name="ping")
def another_ping() -> str:
    return "pong"


def module(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text("from holdfast.tools import tool\n" + text)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_tools_are_found_by_name() -> None:
    registry = ToolRegistry([ping])
    assert registry["ping"] is ping
    assert registry.get("pong") is None
    assert registry.manifests() == {"ping": ping.manifest}


def test_two_tools_of_one_name_are_refused_with_both_places() -> None:
    with pytest.raises(RegistryError, match=r"(?s)'ping'.*\.ping.*another_ping"):
        ToolRegistry([ping, another_ping])


def test_modules_give_their_tools_and_the_ones_they_import(modules: Path) -> None:
    module(modules, "registry_first", "@tool(effect='read')\ndef one() -> int:\n    return 1\n")
    second = "from registry_first import one\n@tool(effect='once')\ndef two() -> int:\n    return 2\n"
    module(modules, "registry_second", second)
    registry = registry_from_modules(["registry_first", "registry_second"])
    assert sorted(registry) == ["one", "two"]
    assert registry["two"].manifest.effect == "once"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no tools"),
        ("import no_such_module_at_all", "no_such_module_at_all"),
        ("1 / 0", "ZeroDivisionError"),
        ("@tool(effect='read')\ndef broken(x):\n    return x\n", "declares a tool wrongly.*return annotation"),
    ],
)
def test_a_module_that_cannot_be_used_is_named_with_the_reason(modules: Path, text: str, says: str) -> None:
    name = f"registry_bad_{abs(hash(text))}"
    module(modules, name, text)
    with pytest.raises(RegistryError, match=f"(?s){name}.*{says}"):
        registry_from_modules([name])


def test_a_module_that_is_not_there_is_named_with_a_cure() -> None:
    with pytest.raises(RegistryError, match=r"no_such_tools.*PYTHONPATH"):
        registry_from_modules(["no_such_tools"])
