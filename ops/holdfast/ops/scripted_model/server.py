"""The HTTP side: chat completions, models, the journal, faults on demand."""

import asyncio
import time
from pathlib import Path

import orjson
from aiohttp import web
from pydantic import ValidationError

from holdfast.ops.scripted_model.answers import completion, rule_for
from holdfast.ops.scripted_model.faults import Faults, Reply, refused, reply
from holdfast.ops.scripted_model.journal import Journal
from holdfast.ops.scripted_model.script import Fault, Script, ScriptError
from holdfast.ops.scripted_model.serving import BODY_LIMIT_BYTES
from holdfast.ops.scripted_model.transcript import Transcript, read_request

PROVIDER = {"x-holdfast-provider": "scripted"}
IDEMPOTENCY_KEY = "Idempotency-Key"


class Server:
    """One scripted model server."""

    def __init__(self, script: Script, journal: Path) -> None:
        self._script = script
        self._journal = Journal(journal)
        self._faults = Faults(script, self._journal.entries)

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=BODY_LIMIT_BYTES)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/journal", self._read_journal)
        app.router.add_post("/faults", self._add_fault)
        app.on_cleanup.append(self._close)
        return app

    async def _close(self, _app: web.Application) -> None:
        self._journal.close()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        transcript: Transcript | None = None
        try:
            transcript = read_request(orjson.loads(await request.read()))
            rule = rule_for(self._script, transcript)
            body = completion(rule, transcript)
        except ValueError:
            return await self._send(request, refused("not_json", "the request is not JSON"))
        except ScriptError as exc:
            await self._record(request, transcript, {"status": 400, "paid": False, "error": str(exc)})
            return await self._send(request, refused("no_answer", str(exc)))
        due = self._faults.due(rule, transcript)
        fault, fault_id, scope = due or (None, "", "")
        answer = reply(body, fault)
        # Written before the delay: a provider charges for an answer, whether or not anybody waits for it.
        await self._record(
            request,
            transcript,
            {
                "rule": rule.name,
                "fault": fault_id,
                "fault_scope": scope,
                "status": answer.status,
                "paid": answer.paid,
                "answer": answer.body,
                "usage": body["usage"],
            },
        )
        if fault is not None and fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        return await self._send(request, answer)

    async def _record(self, request: web.Request, transcript: Transcript | None, details: dict[str, object]) -> None:
        entry: dict[str, object] = {
            "entry": "call",
            "at_ms": int(time.time() * 1000),
            "idempotency_key": request.headers.get(IDEMPOTENCY_KEY, ""),
            "transcript": transcript.digest if transcript else "",
            "model": transcript.model if transcript else "",
            **details,
        }
        # Counted at once, not after the flush: two equal requests at the same time must not both get the last fault.
        self._faults.replay(entry)
        await self._journal.append(entry)

    async def _send(self, request: web.Request, answer: Reply) -> web.StreamResponse:
        headers = {**PROVIDER, **({"Retry-After": answer.retry_after} if answer.retry_after else {})}
        if answer.text:
            return web.Response(status=answer.status, text=answer.text, content_type="text/html", headers=headers)
        data = orjson.dumps(answer.body)
        if not answer.cut:
            return web.Response(status=answer.status, body=data, content_type="application/json", headers=headers)
        response = web.StreamResponse(headers={**headers, "Content-Type": "application/json"})
        response.content_length = len(data)
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _models(self, _request: web.Request) -> web.Response:
        data = [{"id": model, "object": "model", "owned_by": "holdfast"} for model in self._script.models]
        return web.json_response({"object": "list", "data": data}, headers=PROVIDER)

    async def _read_journal(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps({"entries": self._journal.entries}), content_type="application/json")

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = Fault.model_validate_json(await request.read())
        except ValidationError as exc:
            return web.json_response({"error": str(exc)}, status=422)
        fault = fault.model_copy(update={"id": fault.id or self._faults.next_id})
        entry: dict[str, object] = {"entry": "fault", "fault": fault.model_dump(mode="json")}
        self._faults.replay(entry)
        await self._journal.append(entry)
        return web.json_response({"id": fault.id}, status=201)
