"""Model calls over real HTTP, one row of the client's measured behaviour each; then executors on a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from holdfast.ops.scripted_model.child import ScriptedModel
from holdfast.schemas import ids
from holdfast.schemas.record import EventMeta, Json, Message
from holdfast.schemas.reports import ClaimTask, ReportModelResult, ReportTaskFailure
from holdfast.schemas.tasks import RunModelCall
from holdfast.streams.executor.attempt import Stop, Task
from holdfast.streams.executor.config import ModelEndpoint, ModelPrice
from holdfast.streams.executor.model_calls import ModelCalls
from holdfast.streams.executor.outcomes import Failure, ModelAnswer, Outcome
from support.executors import Fleet, Orchestrator, eventually, stop

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = "sk-very-secret"
NOW_S = 1_800_000_000  # by the clock of a server that is not ours
MESSAGES: Json = [{"role": "system", "content": "role: greeter"}, {"role": "user", "content": '{"name": "Ada"}'}]
GOOD: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-2026",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {
        "prompt_tokens": 1_000,
        "completion_tokens": 10,
        "total_tokens": 1_010,
        "prompt_tokens_details": {"cached_tokens": 400},
    },
}


def task(
    *, n: int = 0, timeout_ms: int = 5_000, lease_ms: int = 0, parameters: Json = None, model: str = "default"
) -> RunModelCall:
    return RunModelCall(
        effect_key=ids.effect_key("acme", "w1", "greet", 1, n, 0),
        attempt=1,
        step="greet",
        model=model,
        messages=MESSAGES,
        parameters=parameters,
        timeout_ms=timeout_ms,
        lease_ms=lease_ms,
        deadline_at_ms=int(time.time() * 1000) + 600_000,
    )


def message(body: RunModelCall) -> Message[Task]:
    meta = EventMeta(
        event_id="e", type="t", tenant="acme", workflow_id="w1", actor_kind="engine", actor_id="o", occurred_at_ms=1
    )
    return Message(meta=meta, body=body)


class RawServer:
    """An HTTP server that answers with whatever the test wants."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.handler: Handler = self.good

    async def good(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(GOOD)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(({k.lower(): v for k, v in request.headers.items()}, await request.json()))
        return await self.handler(request)

    def answers(
        self, status: int = 200, *, headers: dict[str, str] | None = None, body: Any = None, text: str = ""
    ) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            if text:
                return web.Response(status=status, text=text, content_type="text/html", headers=headers)
            return web.json_response(body, status=status, headers=headers)

        self.handler = answer


@pytest.fixture
async def raw() -> AsyncIterator[RawServer]:
    server = RawServer()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield server
    await runner.cleanup()


async def ask(server: RawServer, body: RunModelCall | None = None, **endpoint: Any) -> Outcome:
    settings = {"base_url": server.url, "api_key": KEY, "model": "m-1", **endpoint}
    async with ModelCalls(ModelEndpoint(**settings)) as calls:
        prepared = calls.prepare(message(body or task()))
        return prepared if isinstance(prepared, Failure) else await prepared.act()


def error(code: str, text: str = "no") -> dict[str, Any]:
    return {"error": {"message": text, "type": code, "code": code, "param": None}}


async def test_a_good_answer_is_kept_whole_with_usage_and_cost(raw: RawServer) -> None:
    price = ModelPrice(input_microusd=3_000_000, cached_microusd=300_000, output_microusd=15_000_000)
    answer = await ask(raw, prices={"m-1": price})
    assert answer == ModelAnswer(
        provider="127.0.0.1",
        model="m-2026",
        response=GOOD,
        finish_reason="stop",
        input_tokens=1_000,
        output_tokens=10,
        cached_tokens=400,
        cost_microusd=600 * 3 + 120 + 150,
    )


async def test_the_request_says_what_the_task_says_and_carries_an_idempotency_key(raw: RawServer) -> None:
    tools: Json = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    parameters: Json = {"tools": tools, "max_completion_tokens": 5, "vendor_option": {"deep": True}}
    await ask(raw, task(parameters=parameters))
    ((headers, body),) = raw.requests
    assert body == {"model": "m-1", "messages": MESSAGES, **parameters}  # type: ignore[dict-item]
    assert headers["idempotency-key"] == "acme/w1/greet.1/0/0#1"
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_a_named_model_is_asked_and_default_means_the_endpoints_own(raw: RawServer) -> None:
    await ask(raw, task(model="big-one"))
    await ask(raw, task(model="default"))
    assert [body["model"] for _, body in raw.requests] == ["big-one", "m-1"]


@pytest.mark.parametrize(
    ("status", "code", "error_class", "retryable"),
    [
        (429, "rate_limit_exceeded", "rate_limited", True),
        (429, "insufficient_quota", "budget_exhausted", False),
        (408, "", "unavailable", True),
        (409, "", "unavailable", True),
        (500, "", "unavailable", True),
        (503, "", "unavailable", True),
        (401, "invalid_api_key", "permission_denied", False),
        (403, "", "permission_denied", False),
        (400, "context_length_exceeded", "invalid_request", False),
        (404, "model_not_found", "invalid_request", False),
        (422, "", "invalid_request", False),
        (418, "", "invalid_request", False),
    ],
)
async def test_an_error_status_has_a_class_and_costs_one_request(
    raw: RawServer, status: int, code: str, error_class: str, retryable: bool
) -> None:
    raw.answers(status, body=error(code, "what happened"))
    failure = await ask(raw)
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retryable, failure.http_status) == (error_class, retryable, status)
    assert "what happened" in failure.error_message
    assert failure.outcome_unknown is False
    assert len(raw.requests) == 1  # the client's own retries would be hidden spending


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({"retry-after": "0.1"}, 100),
        ({"retry-after": "300"}, 300_000),
        ({"retry-after": "9999999999"}, 86_400_000),
        ({"retry-after": formatdate(NOW_S + 60, usegmt=True), "date": formatdate(NOW_S, usegmt=True)}, 60_000),
        ({"retry-after": formatdate(NOW_S - 60, usegmt=True), "date": formatdate(NOW_S, usegmt=True)}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "nan"}, 0),
        ({}, 0),
    ],
)
async def test_retry_after_is_read_as_seconds_or_as_a_date(
    raw: RawServer, headers: dict[str, str], wait_ms: int
) -> None:
    raw.answers(429, headers=headers, body=error("rate_limit_exceeded"))
    failure = await ask(raw)
    assert isinstance(failure, Failure)
    assert failure.retry_after_ms == wait_ms


async def test_a_cut_connection_is_unavailable_and_costs_one_request(raw: RawServer) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    raw.handler = cut
    failure = await ask(raw)
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retryable) == ("unavailable", True)
    assert len(raw.requests) == 1


async def test_nobody_listening_is_unavailable(raw: RawServer) -> None:
    failure = await ask(raw, base_url="http://127.0.0.1:9/v1")
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retryable) == ("unavailable", True)


async def test_a_slow_answer_is_a_timeout_and_costs_one_request(raw: RawServer) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3)
        return web.json_response(GOOD)

    raw.handler = slow
    failure = await ask(raw, task(timeout_ms=200))
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retryable) == ("timeout", True)
    assert len(raw.requests) == 1


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != key}


def choice(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "choices": [{**GOOD["choices"][0], **changes}]}


@pytest.mark.parametrize(
    "body",
    [
        {**GOOD, "choices": None},
        {**GOOD, "choices": []},
        without("choices"),
        choice(message=None),
        choice(finish_reason=None),
        choice(finish_reason=""),
        ["a", "list"],
        "text",
        None,
    ],
)
async def test_an_answer_without_a_finished_choice_is_invalid_and_its_body_is_kept(raw: RawServer, body: Any) -> None:
    raw.answers(body=body)
    failure = await ask(raw)
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retryable) == ("invalid_output", True)
    if body:
        assert "m-2026" in failure.error_message or "list" in failure.error_message or "text" in failure.error_message


async def test_a_page_with_status_200_is_invalid_output_and_is_kept_shortened(raw: RawServer) -> None:
    raw.answers(text="<html>Bad gateway</html>" + "x" * 100_000)
    failure = await ask(raw)
    assert isinstance(failure, Failure)
    assert failure.error_class == "invalid_output"
    assert "<html>Bad gateway" in failure.error_message
    assert len(failure.error_message) < 3_000


@pytest.mark.parametrize(
    "body",
    [
        choice(finish_reason="length", message={"role": "assistant", "content": '{"half": '}),
        choice(message={"role": "assistant", "content": "```json\n{not json"}),
        choice(
            finish_reason="tool_calls",
            message={
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": ""}}],
            },
        ),
    ],
)
async def test_a_paid_answer_that_says_something_unusable_is_still_an_answer(raw: RawServer, body: Any) -> None:
    raw.answers(body=body)
    answer = await ask(raw)
    assert isinstance(answer, ModelAnswer)
    assert answer.response == body


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": -3}, {"prompt_tokens": "9"}, 5])
async def test_missing_or_malformed_usage_counts_as_nothing(raw: RawServer, usage: Any) -> None:
    raw.answers(body={**GOOD, "usage": usage})
    answer = await ask(raw)
    assert isinstance(answer, ModelAnswer)
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens, answer.cost_microusd) == (0, 0, 0, 0)


async def test_an_answer_that_is_too_large_is_a_failure(raw: RawServer) -> None:
    raw.answers(body=choice(message={"role": "assistant", "content": "x" * 600_000}))
    failure = await ask(raw)
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retryable) == ("result_too_large", False)


async def test_the_key_is_never_in_an_error_message(raw: RawServer) -> None:
    raw.answers(401, body=error("invalid_api_key", f"Incorrect API key provided: {KEY}"))
    failure = await ask(raw)
    assert isinstance(failure, Failure)
    assert KEY not in failure.error_message
    assert "***" in failure.error_message
    assert KEY not in repr(ModelEndpoint(base_url="http://h/v1", api_key=KEY))


@pytest.mark.parametrize("parameters", [{"stream": True}, {"model": "x"}, {"messages": []}, "text", [1]])
async def test_parameters_that_a_task_may_not_set_are_refused_before_anything_is_sent(
    raw: RawServer, parameters: Json
) -> None:
    failure = await ask(raw, task(parameters=parameters))
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retryable) == ("invalid_request", False)
    assert raw.requests == []


async def test_a_server_without_keys_can_be_used(raw: RawServer) -> None:
    assert isinstance(await ask(raw, api_key=""), ModelAnswer)


@pytest.mark.parametrize("url", ["", "127.0.0.1:80/v1", "ftp://host/v1", "http:///v1"])
def test_a_base_url_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        ModelEndpoint(base_url=url)


async def test_a_call_that_is_cut_short_is_a_timeout_and_has_changed_nothing(raw: RawServer) -> None:
    async with ModelCalls(ModelEndpoint(base_url=raw.url)) as calls:
        failure = calls.cut_short(task(), Stop.TIMEOUT)
    assert (failure.error_class, failure.outcome_unknown) == ("timeout", False)


HELLO = {"content": {"say": "hello {{ /user/name }}"}}
SCRIPT = {"rules": [{"name": "hello", "match": {"system": "role: greeter"}, "answer": HELLO}]}


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ScriptedModel]:
    (tmp_path / "script.yaml").write_text(yaml.safe_dump(SCRIPT))
    with ScriptedModel(tmp_path / "script.yaml", tmp_path / "model") as server:
        assert isinstance(server, ScriptedModel)
        yield server


async def test_a_model_call_is_claimed_made_once_and_reported(
    fleet: Fleet, orchestrator: Orchestrator, model: ScriptedModel
) -> None:
    fleet.models({"base_url": model.base_url, "model": "scripted"})
    body = task(lease_ms=30_000)
    await orchestrator.send(body)
    (result,) = await orchestrator.wait_for(ReportModelResult)
    assert [type(report.body) for report in orchestrator.reports] == [ClaimTask, ReportModelResult]
    assert result.provider == "scripted"
    assert result.response["choices"][0]["message"]["content"] == '{"say":"hello Ada"}'  # type: ignore[call-overload,index]
    (paid,) = model.paid_calls()
    assert paid["idempotency_key"] == f"{body.effect_key}#1"
    assert result.input_tokens == paid["usage"]["prompt_tokens"] > 0


async def test_every_scripted_fault_reaches_the_fold_as_its_class(
    fleet: Fleet, orchestrator: Orchestrator, model: ScriptedModel
) -> None:
    fleet.models({"base_url": model.base_url, "model": "scripted"}, slots=1)
    expected = {
        "rate_limit": "rate_limited",
        "quota": "budget_exhausted",
        "error": "unavailable",
        "cut": "unavailable",
        "html": "invalid_output",
        "no_choices": "invalid_output",
        "no_finish": "invalid_output",
        "delay": "timeout",
    }
    found = {}
    for n, kind in enumerate(expected):
        model.add_fault({"kind": kind, "retry_after": "7", "delay_ms": 900 if kind == "delay" else 0})
        body = task(n=n, lease_ms=30_000, timeout_ms=400 if kind == "delay" else 20_000)
        await orchestrator.send(body)
        (failure,) = await orchestrator.wait_for(ReportTaskFailure, effect_key=body.effect_key)
        found[kind] = failure.error_class
        assert failure.retry_after_ms == (7_000 if kind == "rate_limit" else 0)
        model.request("GET", "/v1/models")
    assert found == expected


async def test_a_model_call_that_nobody_waits_for_any_more_is_cut_off(
    fleet: Fleet, orchestrator: Orchestrator, model: ScriptedModel
) -> None:
    fleet.models({"base_url": model.base_url, "model": "scripted"}, slots=1)
    model.add_fault({"kind": "delay", "delay_ms": 60_000})
    body, after = task(lease_ms=30_000, timeout_ms=60_000), task(n=1, lease_ms=30_000)
    await orchestrator.send(body)
    await eventually(model.paid_calls)
    await orchestrator.send(stop(body))
    (failure,) = await orchestrator.wait_for(ReportTaskFailure)
    assert (failure.error_class, failure.outcome_unknown) == ("withdrawn", False)
    assert failure.duration_ms < 30_000
    await orchestrator.send(after)
    await orchestrator.wait_for(ReportModelResult, effect_key=after.effect_key)


async def test_a_killed_executor_loses_at_most_the_call_it_was_making_and_it_is_on_record_as_paid(
    fleet: Fleet, orchestrator: Orchestrator, model: ScriptedModel
) -> None:
    first = fleet.models({"base_url": model.base_url, "model": "scripted"}, instance_id="stable")
    model.add_fault({"kind": "delay", "delay_ms": 60_000})
    body = task(lease_ms=30_000, timeout_ms=60_000)
    await orchestrator.send(body)
    await eventually(model.paid_calls)
    await orchestrator.settle(0.6)
    first.kill()
    fleet.models({"base_url": model.base_url, "model": "scripted"}, instance_id="stable")
    after = task(n=1, lease_ms=30_000)
    await orchestrator.send(after)
    await orchestrator.wait_for(ReportModelResult, effect_key=after.effect_key)
    keys = [call["idempotency_key"] for call in model.paid_calls()]
    assert keys == [f"{body.effect_key}#1", f"{after.effect_key}#1"]
