"""What the stand-ins for outside systems have in common: idempotency keys, a journal, slowness on demand."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from holdfast.ops.scripted_model.journal import Entry, Journal
from holdfast.ops.scripted_model.serving import BODY_LIMIT_BYTES
from holdfast.schemas import jsontext

IDEMPOTENCY_KEY = "Idempotency-Key"
REPLAYED = "Idempotent-Replay"

Answer = dict[str, Any]


class Slowness(BaseModel):
    """How long the next `times` writes take before and after they are accepted, in ms."""

    model_config = ConfigDict(extra="forbid")

    delay_before_ms: int = Field(default=0, ge=0, le=600_000)
    delay_after_ms: int = Field(default=0, ge=0, le=600_000)
    times: int = Field(default=1, ge=0)


class OutsideSystem:
    """A small web service that others call.

    `GET /journal` shows every request received (`entry: request`) and every write accepted (`entry: accepted`), both
    on disk before they are answered; `PUT /faults` takes a `Slowness`. Subclasses add their routes to `app`.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = Journal(journal)
        self._slowness = Slowness(times=0)
        self._accepted: dict[str, Entry] = {}
        for entry in self._journal.entries:
            if entry["entry"] == "accepted":
                self._accepted[str(entry["idempotency_key"])] = entry
        self.app = web.Application(client_max_size=BODY_LIMIT_BYTES, middlewares=[self._record])
        self.app.router.add_get("/journal", self._read_journal)
        self.app.router.add_put("/faults", self._set_slowness)
        self.app.on_cleanup.append(self._close_journal)

    def accepted(self, what: str) -> list[Entry]:
        """Every accepted write of one kind, oldest first."""
        return [entry for entry in self._accepted.values() if entry["what"] == what]

    async def accept(
        self, request: web.Request, what: str, body: dict[str, Any], answer: Callable[[], Answer]
    ) -> web.Response:
        """Accept a write once per idempotency key.

        The same key with the same body gets the first answer again, with another body status 409.
        """
        key = request.headers.get(IDEMPOTENCY_KEY, "")
        if not key:
            return problem(400, "key_missing", f"the header {IDEMPOTENCY_KEY} is missing")
        slowness = self._next_slowness()
        await asyncio.sleep(slowness.delay_before_ms / 1000)
        digest = jsontext.digest({"what": what, "body": body})
        first = self._accepted.get(key)
        if first is not None:
            if first["digest"] != digest:
                return problem(409, "key_reused", "this idempotency key came with another request before")
            return web.json_response(first["answer"], headers={REPLAYED: "true"})
        entry: Entry = {
            "entry": "accepted",
            "at_ms": _now_ms(),
            "what": what,
            "idempotency_key": key,
            "digest": digest,
            "body": body,
            "answer": answer(),
        }
        self._accepted[key] = entry
        await self._journal.append(entry)
        await asyncio.sleep(slowness.delay_after_ms / 1000)
        return web.json_response(entry["answer"], status=201)

    async def _close_journal(self, _app: web.Application) -> None:
        self._journal.close()

    def _next_slowness(self) -> Slowness:
        if self._slowness.times == 0:
            return Slowness()
        self._slowness.times -= 1
        return self._slowness

    @web.middleware
    async def _record(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        if request.path not in ("/journal", "/faults"):
            entry: Entry = {
                "entry": "request",
                "at_ms": _now_ms(),
                "method": request.method,
                "path": request.path,
                "idempotency_key": request.headers.get(IDEMPOTENCY_KEY, ""),
                "body": (await request.read()).decode(errors="replace"),
            }
            await self._journal.append(entry)
        response: web.StreamResponse = await handler(request)
        return response

    async def _read_journal(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps({"entries": self._journal.entries}), content_type="application/json")

    async def _set_slowness(self, request: web.Request) -> web.Response:
        try:
            self._slowness = Slowness.model_validate_json(await request.read())
        except ValidationError as exc:
            return problem(422, "invalid", str(exc))
        return web.json_response(self._slowness.model_dump())


def problem(status: int, code: str, message: str) -> web.Response:
    """An error answer."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


def _now_ms() -> int:
    return int(time.time() * 1000)
