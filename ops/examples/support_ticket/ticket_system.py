"""A stand-in for a ticket system with its customers' orders.

It has a ticket `T-<n>` and a customer `C-<n>` for every number n. Run it:
`python ticket_system.py --journal FILE [--port N] [--port-file FILE]`.
"""

import re
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from holdfast.ops.scripted_model.outside_system import IDEMPOTENCY_KEY, OutsideSystem, problem
from holdfast.ops.scripted_model.serving import parser, serve
from holdfast.schemas import jsontext

NAMES = ("Ada Brandt", "Luis Ortega", "Mei Tanaka", "Noor Haddad")
ITEMS = ("desk lamp", "tea set", "wall clock", "picture frame")
_TICKET = re.compile(r"T-([1-9][0-9]{0,8})")
_CUSTOMER = re.compile(r"C-([1-9][0-9]{0,8})")


class Comment(BaseModel):
    text: str = Field(min_length=1, max_length=10_000)


class Closing(BaseModel):
    resolution: str = Field(default="", max_length=10_000)


class TicketSystem(OutsideSystem):
    """Tickets can be read, commented and closed; orders can be read."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal)
        self.app.router.add_get("/tickets/{ticket_id}", self._read)
        self.app.router.add_get("/customers/{customer_id}/orders", self._orders)
        self.app.router.add_post("/tickets/{ticket_id}/comments", self._comment)
        self.app.router.add_post("/tickets/{ticket_id}/close", self._close)

    async def _read(self, request: web.Request) -> web.Response:
        ticket_id = request.match_info["ticket_id"]
        number = _number(_TICKET, ticket_id)
        if number is None:
            return problem(404, "not_found", f"there is no ticket {ticket_id}")
        return web.json_response(self._ticket(ticket_id, number))

    async def _orders(self, request: web.Request) -> web.Response:
        customer_id = request.match_info["customer_id"]
        number = _number(_CUSTOMER, customer_id)
        if number is None:
            return problem(404, "not_found", f"there is no customer {customer_id}")
        orders = [
            {"order_id": f"O-{number}-1", "item": _item(number), "status": "delivered", "total_cents": 4_990},
            {"order_id": f"O-{number}-2", "item": _item(number + 1), "status": "on its way", "total_cents": 1_250},
        ]
        return web.json_response({"customer_id": customer_id, "orders": orders})

    async def _comment(self, request: web.Request) -> web.Response:
        return await self._write(request, "comment", Comment)

    async def _close(self, request: web.Request) -> web.Response:
        return await self._write(request, "close", Closing)

    async def _write(self, request: web.Request, what: str, shape: type[BaseModel]) -> web.Response:
        ticket_id = request.match_info["ticket_id"]
        number = _number(_TICKET, ticket_id)
        if number is None:
            return problem(404, "not_found", f"there is no ticket {ticket_id}")
        try:
            body = shape.model_validate_json(await request.read() or b"{}").model_dump()
        except ValidationError as exc:
            return problem(422, "invalid", str(exc))
        answer = {
            "ticket_id": ticket_id,
            "reference": f"{what}-{jsontext.digest(request.headers.get(IDEMPOTENCY_KEY, ''))[:16]}",
            "status": "closed" if what == "close" else self._ticket(ticket_id, number)["status"],
        }
        return await self.accept(request, what, {"ticket_id": ticket_id, **body}, lambda: answer)

    def _ticket(self, ticket_id: str, number: int) -> dict[str, Any]:
        customer = NAMES[number % len(NAMES)]
        return {
            "ticket_id": ticket_id,
            "customer_id": f"C-{number}",
            "customer_name": customer,
            "customer_email": f"{customer.lower().replace(' ', '.')}.{number}@example.com",
            "subject": f"My {_item(number)} arrived broken",
            "body": f"Hello, I opened the parcel today and the {_item(number)} is broken. What now? {customer}",
            "status": "closed" if any(_ticket_of(entry) == ticket_id for entry in self.accepted("close")) else "open",
            "comments": [_body(entry)["text"] for entry in self.accepted("comment") if _ticket_of(entry) == ticket_id],
        }


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.fullmatch(text)
    return int(found[1]) if found else None


def _item(number: int) -> str:
    return ITEMS[number % len(ITEMS)]


def _body(entry: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = entry["body"]
    return body


def _ticket_of(entry: dict[str, Any]) -> str:
    return str(_body(entry)["ticket_id"])


if __name__ == "__main__":
    options = parser("A stand-in for a ticket system.").parse_args()
    serve(lambda: TicketSystem(options.journal).app, port=options.port, port_file=options.port_file)
