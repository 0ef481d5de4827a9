"""The support-ticket example's outside systems and tools: one write per key, whatever is killed."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.scripted_model.child import ChildServer, ChildServerError, ScriptedModel
from holdfast.schemas import ids
from holdfast.schemas.record import Json
from holdfast.schemas.reports import ReportToolResult
from holdfast.schemas.tasks import RunToolCall
from holdfast.tools import ToolCall, ToolError, registry_from_modules
from support.executors import Fleet, Orchestrator, eventually

EXAMPLES = Path(__file__).parents[2] / "ops" / "examples"
EXAMPLE = EXAMPLES / "support_ticket"
EMAIL: dict[str, Json] = {"to": "ada@example.com", "subject": "Re", "body": "Hello"}


@pytest.fixture
def tickets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildServer]:
    with ChildServer([str(EXAMPLE / "ticket_system.py")], tmp_path / "tickets") as server:
        monkeypatch.setenv("SUPPORT_TICKET_SYSTEM_URL", server.url)
        yield server


@pytest.fixture
def emails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildServer]:
    with ChildServer([str(EXAMPLE / "email_system.py")], tmp_path / "emails") as server:
        monkeypatch.setenv("SUPPORT_EMAIL_SYSTEM_URL", server.url)
        yield server


def send(server: ChildServer, body: dict[str, Any], key: str | None = "k1") -> tuple[int, Any]:
    """Status and answer of POST /messages."""
    headers = {"content-type": "application/json", **({"Idempotency-Key": key} if key else {})}
    request = urllib.request.Request(server.url + "/messages", data=orjson.dumps(body), headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, orjson.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, orjson.loads(refused.read())


def accepted(server: ChildServer) -> list[dict[str, Any]]:
    return [entry for entry in server.journal() if entry["entry"] == "accepted"]


def test_one_key_is_one_message_even_after_a_kill(emails: ChildServer) -> None:
    status, first = send(emails, EMAIL)
    assert status == 201
    assert send(emails, EMAIL) == (200, first)
    emails.kill()
    emails.start()
    assert send(emails, EMAIL) == (200, first)
    assert send(emails, {**EMAIL, "body": "Other"})[0] == 409
    assert send(emails, EMAIL, key="k2")[0] == 201
    assert [entry["idempotency_key"] for entry in accepted(emails)] == ["k1", "k2"]
    requests = [entry["idempotency_key"] for entry in emails.journal() if entry["entry"] == "request"]
    assert requests == ["k1", "k1", "k1", "k1", "k2"]


@pytest.mark.parametrize(("body", "key", "status"), [(EMAIL, None, 400), ({"to": "x"}, "k", 422)])
def test_what_is_no_message_is_refused_and_still_on_record(
    emails: ChildServer, body: dict[str, Any], key: str | None, status: int
) -> None:
    assert send(emails, body, key)[0] == status
    assert accepted(emails) == []
    assert len(emails.journal()) == 1


def test_it_is_slow_as_often_as_it_is_told(emails: ChildServer) -> None:
    emails.request("PUT", "/faults", {"delay_before_ms": 200, "delay_after_ms": 200, "times": 1})
    started = time.monotonic()
    send(emails, EMAIL)
    assert time.monotonic() - started >= 0.4
    assert emails.request("PUT", "/faults", {"times": 0})["delay_before_ms"] == 0


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    return registry_from_modules(["support_ticket.tools"])


def call(key: str) -> ToolCall:
    return ToolCall(effect_key=key, attempt=1, deadline_at_ms=0, tenant="acme", workflow_id="w1")


async def use(tools: Any, name: str, arguments: Json, key: str = "k1") -> Any:
    tool = tools[name]
    return tool.result_json(await tool.function(**tool.bind(arguments, call(key))))


async def test_the_tools_read_ask_close_and_send(tools: Any, tickets: ChildServer, emails: ChildServer) -> None:
    ticket = await use(tools, "read_ticket", {"ticket_id": "T-7"})
    assert (ticket["customer_id"], ticket["status"], ticket["comments"]) == ("C-7", "open", [])
    orders = await use(tools, "search_orders", {"customer_id": "C-7"})
    assert orders["orders"][0]["item"] in ticket["subject"]
    for _ in range(2):  # one key: one comment
        await use(tools, "ask_customer", {"ticket_id": "T-7", "question": "Which one?"}, key="q1")
    await use(tools, "close_ticket", {"ticket_id": "T-7", "resolution": "replaced"}, key="c1")
    ticket = await use(tools, "read_ticket", {"ticket_id": "T-7"})
    assert (ticket["status"], ticket["comments"]) == ("closed", ["Which one?"])
    sent = await use(tools, "send_email", EMAIL, key="m1")
    assert sent["to"] == EMAIL["to"]
    assert [entry["idempotency_key"] for entry in accepted(emails)] == ["m1"]


async def test_the_tools_say_whether_a_write_may_have_happened(
    tools: Any, tickets: ChildServer, emails: ChildServer
) -> None:
    async def failure(name: str, arguments: Json, key: str = "k1") -> tuple[str, bool, bool]:
        with pytest.raises(ToolError) as failed:
            await use(tools, name, arguments, key)
        return failed.value.code, failed.value.retryable, failed.value.outcome_unknown

    assert await failure("read_ticket", {"ticket_id": "nothing"}) == ("not_found", False, False)
    await use(tools, "send_email", EMAIL)
    assert await failure("send_email", {**EMAIL, "body": "!"}) == ("key_reused", False, False)
    emails.kill()
    assert await failure("send_email", EMAIL) == ("unavailable", True, False)  # it was never sent


async def test_an_email_is_accepted_once_though_its_executor_is_killed_while_sending_it(
    broker: Broker,
    topics: str,
    tmp_path: Path,
    emails: ChildServer,
    orchestrator: Orchestrator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    fleet = Fleet(broker.bootstrap, topics, tmp_path)
    try:
        first = fleet.tools(modules=["support_ticket.tools"], instance_id="stable")
        emails.request("PUT", "/faults", {"delay_after_ms": 60_000, "times": 1})
        key = ids.effect_key("acme", "w1", "send", 1, 0, 0)
        await orchestrator.send(
            RunToolCall(
                effect_key=key,
                attempt=1,
                step="send",
                tool="send_email",
                effect="keyed",
                arguments=dict(EMAIL),
                action_hash="a" * 64,
                timeout_ms=10_000,
                lease_ms=0,
                deadline_at_ms=int(time.time() * 1000) + 600_000,
            )
        )
        await eventually(lambda: accepted(emails))
        first.kill()
        fleet.tools(modules=["support_ticket.tools"], instance_id="stable")
        (result,) = await orchestrator.wait_for(ReportToolResult)
        assert result.result == accepted(emails)[0]["answer"]
        assert [entry["idempotency_key"] for entry in accepted(emails)] == [key]
        requests = [entry["idempotency_key"] for entry in emails.journal() if entry["entry"] == "request"]
        assert requests == [key, key]
    finally:
        fleet.stop()


def test_the_scripted_model_plays_the_whole_example(tmp_path: Path, tickets: ChildServer) -> None:
    """Follows the tool calls that the script makes, as the engine would."""
    with ScriptedModel(EXAMPLE / "model_script.yaml", tmp_path / "model") as model:
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "role: triage\nYou work in support."},
            {"role": "user", "content": '{"ticket_id":"T-7"}'},
        ]
        used = []
        for _ in range(3):
            answer = model.request("POST", "/v1/chat/completions", {"model": "scripted", "messages": messages})
            message = answer["choices"][0]["message"]
            if "tool_calls" not in message:
                break
            (proposed,) = message["tool_calls"]
            used.append((proposed["function"]["name"], orjson.loads(proposed["function"]["arguments"])))
            name, arguments = used[-1]
            path = f"/tickets/{arguments['ticket_id']}" if name == "read_ticket" else "/customers/C-7/orders"
            result = orjson.dumps({"result": tickets.request("GET", path)}).decode()
            messages += [message, {"role": "tool", "tool_call_id": proposed["id"], "content": result}]
        assert used == [("read_ticket", {"ticket_id": "T-7"}), ("search_orders", {"customer_id": "C-7"})]
        assert orjson.loads(message["content"]).keys() == {"category", "urgency", "question"}

        ticket = tickets.request("GET", "/tickets/T-7")
        user = {"ticket": ticket, "reply": {"text": "A new one, please."}}
        draft = [{"role": "system", "content": "role: draft"}, {"role": "user", "content": orjson.dumps(user).decode()}]
        answer = model.request("POST", "/v1/chat/completions", {"model": "scripted", "messages": draft})
        email = orjson.loads(answer["choices"][0]["message"]["content"])
        assert ticket["subject"] in email["subject"]
        assert "A new one, please." in email["body"]


def test_an_example_server_that_cannot_start_says_why(tmp_path: Path, emails: ChildServer) -> None:
    port = int(emails.url.rpartition(":")[2])
    squatter = ChildServer([str(EXAMPLE / "email_system.py")], tmp_path / "squatter", port=port)
    with pytest.raises(ChildServerError, match=r"(?s)did not start.*in use"):
        squatter.start()
