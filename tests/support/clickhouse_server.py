"""A ClickHouse HTTP server that can be away: the real engine behind an HTTP face that fails on demand.

It speaks what clickhouse-connect needs for inserting: statements, `INSERT ... FORMAT Native` with data, errors by code.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from support.engine import Engine
from support.sinks import free_port

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def _refuse(code: int, text: str) -> web.Response:
    headers = {"X-ClickHouse-Exception-Code": str(code)}
    return web.Response(status=500, text=f"Code: {code}. DB::Exception: {text}", headers=headers)


async def overloaded(_request: web.Request) -> web.Response:
    """The fault of a server that has too many parts."""
    return _refuse(252, "Too many parts")


async def broken_proxy(_request: web.Request) -> web.Response:
    """The fault of a proxy whose server is gone."""
    return web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html")


class ClickHouseServer:
    """Start it, stop it, start it again on the same port; `fault` answers inserts in its place while it is set."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(folder, migrated=False)
        self.port = free_port()
        self.fault: Fault | None = None
        self.lose_answers = 0
        self.inserts = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def dsn(self) -> str:
        return f"http://default:secret@127.0.0.1:{self.port}/?compress=0"

    def start(self) -> None:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        if self._thread and self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
            self._thread = None

    def close(self) -> None:
        self.stop()
        self.engine.close()

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True).start()
        started.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        statement, _, data = body.partition(b"\n")
        if not statement.startswith(b"INSERT"):
            sql = request.query.get("query", "") or body.decode()
            return await self._run(request, sql)
        if self.fault and (answer := await self.fault(request)):
            return answer
        self.inserts += 1
        try:
            await asyncio.to_thread(self.engine.call, "infile", statement.decode(), data)
        except Exception as exc:
            return _refuse(getattr(exc, "code", 0) or 1002, str(exc))
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(headers={"X-ClickHouse-Summary": "{}"})

    async def _run(self, request: web.Request, sql: str) -> web.StreamResponse:
        parameters = {name[6:]: value for name, value in request.query.items() if name.startswith("param_")}
        database = request.query.get("database", "")
        format_ = request.query.get("default_format", "TabSeparated")
        try:
            body, format_ = await asyncio.to_thread(self.engine.call, "statement", sql, parameters, database, format_)
        except Exception as exc:
            return _refuse(getattr(exc, "code", 0) or 1002, str(exc))
        return web.Response(body=body, headers={"X-ClickHouse-Format": format_, "X-ClickHouse-Timezone": "UTC"})
