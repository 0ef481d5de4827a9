"""The read-only door to the tables: enough of ClickHouse's HTTP protocol for its clients, on 127.0.0.1, with a token.

An embedded database has one owner process; everybody else asks here. `GET|POST /` with `query`, `param_<name>`,
`database` and settings as ClickHouse has them; errors are `Code: N. DB::Exception: ...` with the code in a header.
`GET /ping` needs no token and says nothing but "Ok."; `GET /status` says as JSON what the sink waits for.
"""

import asyncio
import hmac
import logging
import uuid
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from holdfast.projections.embedded import DATABASE
from holdfast.projections.readers import CONNECTIONS, Answer, Query, ReadError, Readers, named_format, reader_threads

log = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 1 << 20
WAITING_LIMIT = 32
STOP_TIMEOUT_S = 2

# What ClickHouse's HTTP interface takes for itself: never settings of the engine.
TRANSPORT = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "password",
        "query",
        "query_id",
        "quota_key",
        "readonly",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "user",
        "wait_end_of_query",
    }
)
STATUS_BY_CODE = {
    62: HTTPStatus.BAD_REQUEST,
    60: HTTPStatus.NOT_FOUND,
    81: HTTPStatus.NOT_FOUND,
    159: HTTPStatus.REQUEST_TIMEOUT,
    164: HTTPStatus.FORBIDDEN,
    202: HTTPStatus.SERVICE_UNAVAILABLE,
    497: HTTPStatus.FORBIDDEN,
    516: HTTPStatus.UNAUTHORIZED,
}


class Bridge:
    """The HTTP server in front of `readers`.

    `rebuild` starts the projections over and returns the partitions read; `status` is what `GET /status` answers with.
    """

    def __init__(
        self,
        readers: Readers,
        token: str,
        *,
        rebuild: Callable[[], Awaitable[int]],
        status: Callable[[], Mapping[str, Any] | None],
    ) -> None:
        self._readers = readers
        self._token = token.encode()
        self._rebuild = rebuild
        self._status = status
        self._threads = reader_threads()
        self._waiting = 0
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1:`port`, 0 for any free one; returns the port. Raises OSError if it is taken."""
        app = web.Application(client_max_size=BODY_LIMIT_BYTES)
        app.router.add_get("/ping", self._ping)
        app.router.add_get("/", self._query)
        app.router.add_post("/", self._query)
        app.router.add_post("/rebuild", self._start_over)
        app.router.add_get("/status", self._tell)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        bound = int(self._runner.addresses[0][1])
        log.info("the bridge listens on http://127.0.0.1:%d", bound)
        return bound

    async def stop(self) -> None:
        """Stop listening. Queries that still run are left to their time limit."""
        if self._runner:
            await self._runner.cleanup()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _query(self, request: web.Request) -> web.Response:
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        try:
            self._admit(request)
            query = await _read(request)
            answer = await self._run(query)
        except ReadError as exc:
            return _failure(exc)
        return web.Response(body=answer.body, headers=_headers(query, query_id, answer))

    async def _run(self, query: Query) -> Answer:
        if self._waiting >= CONNECTIONS + WAITING_LIMIT:
            raise ReadError(202, f"{self._waiting} queries are running or waiting: try again later")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._readers.run, query)
        finally:
            self._waiting -= 1

    async def _start_over(self, request: web.Request) -> web.Response:
        try:
            self._admit(request)
            return web.json_response({"partitions": await self._rebuild()})
        except ReadError as exc:
            return _failure(exc)
        except RuntimeError as exc:
            return web.Response(status=HTTPStatus.CONFLICT, text=str(exc))

    async def _tell(self, request: web.Request) -> web.Response:
        try:
            self._admit(request)
        except ReadError as exc:
            return _failure(exc)
        return web.json_response({"trouble": self._status()})

    def _admit(self, request: web.Request) -> None:
        if not hmac.compare_digest(_token(request), self._token):
            raise ReadError(516, "the token is missing or wrong")


def _token(request: web.Request) -> bytes:
    """The token as a bearer, or where ClickHouse's clients put a password."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind == "Bearer":
        return value.encode()
    if kind == "Basic":
        try:
            return b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return request.headers.get("X-ClickHouse-Key", request.query.get("password", "")).encode()


async def _read(request: web.Request) -> Query:
    try:
        body = (await request.read()).decode() if request.can_read_body else ""
    except web.HTTPRequestEntityTooLarge:
        raise ReadError(62, f"the query is larger than {BODY_LIMIT_BYTES} bytes") from None
    except UnicodeDecodeError:
        # Statements are text; what clients send beside them is data to insert.
        raise ReadError(164, "the query is not UTF-8 text: only statements that read are allowed here") from None
    if request.content_type == "multipart/form-data":
        raise ReadError(48, "external data is not supported here")
    sql = f"{request.query.get('query', '')}\n{body}".strip()
    if not sql:
        raise ReadError(62, "the query is empty")
    if request.query.get("database", DATABASE) not in (DATABASE, "default", ""):
        raise ReadError(81, f"there is no database but {DATABASE}")
    rest = {name: value for name, value in request.query.items() if name not in TRANSPORT}
    return Query(
        sql=sql,
        format=request.query.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
        parameters={name[6:]: value for name, value in rest.items() if name.startswith("param_")},
        settings={name: value for name, value in rest.items() if not name.startswith("param_")},
    )


def _headers(query: Query, query_id: str, answer: Answer) -> dict[str, str]:
    summary = {
        "read_rows": str(answer.read_rows),
        "read_bytes": str(answer.read_bytes),
        "elapsed_ns": str(int(answer.elapsed_s * 1e9)),
    }
    return {
        "Content-Type": "application/octet-stream",
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Format": named_format(query.sql) or query.format,
        "X-ClickHouse-Timezone": "UTC",
        "X-ClickHouse-Server-Display-Name": "holdfast",
        "X-ClickHouse-Summary": orjson.dumps(summary).decode(),
    }


def _failure(error: ReadError) -> web.Response:
    text = str(error)
    return web.Response(
        status=STATUS_BY_CODE.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR),
        text=text if text.startswith("Code:") else f"Code: {error.code}. DB::Exception: {text}",
        headers={"X-ClickHouse-Exception-Code": str(error.code)},
    )
