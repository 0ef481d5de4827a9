"""The scripted model server as a process: what its callers see, and what survives its end."""

import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.ops.scripted_model.child import ChildServer, ChildServerError, ScriptedModel

SCRIPT = {"rules": [{"name": "hello", "match": {"system": "role: greeter"}, "answer": {"content": {"say": "hello"}}}]}


def ask(server: ChildServer, text: str = "hi", system: str = "role: greeter") -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    answer: dict[str, Any] = server.request("POST", "/v1/chat/completions", {"model": "m1", "messages": messages})
    return answer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ScriptedModel]:
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump(SCRIPT))
    with ScriptedModel(script, tmp_path / "server") as server:
        assert isinstance(server, ScriptedModel)
        yield server
    assert server.pid is None


def test_it_answers_by_its_script_and_writes_down_each_paid_call(server: ScriptedModel) -> None:
    answer = ask(server)
    assert answer["choices"][0]["message"]["content"] == '{"say":"hello"}'
    assert answer["model"] == "m1"
    (entry,) = server.paid_calls()
    assert (entry["rule"], entry["status"], entry["usage"]) == ("hello", 200, answer["usage"])
    assert server.request("GET", "/v1/models")["data"][0]["id"] == "scripted"


def test_answers_journal_and_fault_counts_survive_a_kill(server: ScriptedModel) -> None:
    server.add_fault({"kind": "error", "status": 503, "times": 2})
    with pytest.raises(urllib.error.HTTPError, match="503"):
        ask(server)
    before, url = server.journal(), server.url
    server.kill()
    server.start()
    assert server.url == url
    assert server.journal() == before
    with pytest.raises(urllib.error.HTTPError, match="503"):
        ask(server)
    ask(server)
    assert [entry["status"] for entry in server.journal() if entry["entry"] == "call"] == [503, 503, 200]
    assert len(server.paid_calls()) == 1


def test_a_request_without_a_rule_is_refused_with_the_reason(server: ScriptedModel) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(server, system="role: stranger")
    assert refused.value.code == 400
    assert "role: stranger" in refused.value.read().decode()
    assert server.paid_calls() == []
    assert server.journal()[0]["status"] == 400


def test_an_unknown_fault_is_refused(server: ScriptedModel) -> None:
    with pytest.raises(urllib.error.HTTPError, match="422"):
        server.add_fault({"kind": "earthquake"})


def test_a_wrong_script_ends_the_server_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "script.yaml").write_text("rules: 5")
    with pytest.raises(ChildServerError, match=r"(?s)did not start.*script\.yaml is wrong"):
        ScriptedModel(tmp_path / "script.yaml", tmp_path / "server").start()
