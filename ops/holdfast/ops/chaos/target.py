"""The system outside: what the workflows of a chaos run act on, with a journal of its own that outlives any kill.

`POST /effects` is accepted once per idempotency key; `GET /counter` counts. Both refuse now and then with status 503,
a write sometimes *after* it was accepted, so that nobody but this journal knows. Run it:
`python -m holdfast.ops.chaos.target --journal FILE [--port N] [--port-file FILE]`.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from holdfast.ops.scripted_model.outside_system import IDEMPOTENCY_KEY, OutsideSystem, problem
from holdfast.ops.scripted_model.serving import parser, serve
from holdfast.schemas import jsontext

EFFECT = "effect"
# Of so many keys, one is refused at its first try; another one is accepted first and then refused.
KEYS_PER_REFUSAL = 12
READS_PER_REFUSAL = 25


class Order(BaseModel):
    """What is to be done: `ref` names it in the words of whoever asks, the same at every try."""

    ref: str = Field(min_length=1, max_length=300)
    delay_ms: int = Field(default=0, ge=0, le=60_000)


class Target(OutsideSystem):
    """Accepts effects and counts reads."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal)
        self._tries: Counter[str] = Counter()
        self._reads = 0
        self.app.router.add_post("/effects", self._take)
        self.app.router.add_get("/counter", self._count)

    async def _take(self, request: web.Request) -> web.Response:
        try:
            order = Order.model_validate_json(await request.read())
        except ValidationError as exc:
            return problem(422, "invalid", str(exc))
        key = request.headers.get(IDEMPOTENCY_KEY, "")
        self._tries[key] += 1
        mood = int(jsontext.digest(key)[:8], 16) % KEYS_PER_REFUSAL if self._tries[key] == 1 else -1
        await asyncio.sleep(order.delay_ms / 2_000)
        if mood == 0:
            return problem(503, "busy", "not now")
        answer = await self.accept(request, EFFECT, {"ref": order.ref}, lambda: {"ref": order.ref})
        await asyncio.sleep(order.delay_ms / 2_000)
        return problem(503, "busy", "not now, says the proxy") if mood == 1 else answer

    async def _count(self, _request: web.Request) -> web.Response:
        self._reads += 1
        if self._reads % READS_PER_REFUSAL == 0:
            return problem(503, "busy", "not now")
        return web.json_response({"count": self._reads})


def main() -> int:
    """Serve until SIGTERM. Returns the exit code."""
    options = parser("The outside system of a chaos run.").parse_args()
    serve(lambda: Target(options.journal).app, port=options.port, port_file=options.port_file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
