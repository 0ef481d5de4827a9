"""The tools of the support-ticket example: what its agent may do in the ticket and e-mail systems."""

import os
from typing import Any

import aiohttp
from pydantic import BaseModel

from holdfast.tools import ToolCall, ToolError, tool

# Shorter than the tools' own limit, so that the tool says what happened and is not cut off.
REQUEST_TIMEOUT_S = 8.0
TOOL_TIMEOUT_MS = 10_000


class Ticket(BaseModel):
    ticket_id: str
    customer_id: str
    customer_name: str
    customer_email: str
    subject: str
    body: str
    status: str
    comments: list[str]


class Order(BaseModel):
    order_id: str
    item: str
    status: str
    total_cents: int


class Orders(BaseModel):
    customer_id: str
    orders: list[Order]


class TicketChange(BaseModel):
    ticket_id: str
    reference: str
    status: str


class SentEmail(BaseModel):
    message_id: str
    to: str


@tool(effect="read", timeout_ms=TOOL_TIMEOUT_MS)
async def read_ticket(ticket_id: str) -> Ticket:
    """Read one support ticket: who wrote it and what about."""
    return Ticket(**await _request("GET", f"{ticket_system_url()}/tickets/{ticket_id}"))


@tool(effect="read", timeout_ms=TOOL_TIMEOUT_MS)
async def search_orders(customer_id: str) -> Orders:
    """Find the orders of a customer."""
    return Orders(**await _request("GET", f"{ticket_system_url()}/customers/{customer_id}/orders"))


@tool(effect="keyed", timeout_ms=TOOL_TIMEOUT_MS)
async def ask_customer(ticket_id: str, question: str, call: ToolCall) -> TicketChange:
    """Ask the customer a question, as a comment on the ticket."""
    url = f"{ticket_system_url()}/tickets/{ticket_id}/comments"
    return TicketChange(**await _request("POST", url, {"text": question}, call.effect_key))


@tool(effect="keyed", timeout_ms=TOOL_TIMEOUT_MS)
async def send_email(to: str, subject: str, body: str, call: ToolCall) -> SentEmail:
    """Send an e-mail to a customer."""
    message = {"to": to, "subject": subject, "body": body}
    return SentEmail(**await _request("POST", f"{email_system_url()}/messages", message, call.effect_key))


@tool(effect="keyed", timeout_ms=TOOL_TIMEOUT_MS)
async def close_ticket(ticket_id: str, call: ToolCall, resolution: str = "") -> TicketChange:
    """Close a ticket."""
    url = f"{ticket_system_url()}/tickets/{ticket_id}/close"
    return TicketChange(**await _request("POST", url, {"resolution": resolution}, call.effect_key))


def ticket_system_url() -> str:
    """Address of the ticket system."""
    return _setting("SUPPORT_TICKET_SYSTEM_URL")


def email_system_url() -> str:
    """Address of the e-mail system."""
    return _setting("SUPPORT_EMAIL_SYSTEM_URL")


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ToolError("not_configured", f"the environment variable {name} is not set", retryable=False)
    return value.rstrip("/")


async def _request(method: str, url: str, body: dict[str, Any] | None = None, key: str = "") -> dict[str, Any]:
    """The JSON answer. Raises ToolError, which says whether the write may have happened."""
    writes = method != "GET"
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    headers = {"Idempotency-Key": key} if key else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, json=body, headers=headers) as response,
        ):
            if response.status < 400:
                answer: dict[str, Any] = await response.json()
                return answer
            raise _refusal(response.status, await response.text(), writes)
    except aiohttp.ClientConnectorError as exc:  # nothing was sent
        raise ToolError("unavailable", f"cannot reach {url}: {exc}", retryable=True) from exc
    except (TimeoutError, aiohttp.ClientError) as exc:
        raise ToolError(
            "unavailable", f"no answer from {url}: {exc!r}", retryable=True, outcome_unknown=writes
        ) from exc


def _refusal(status: int, text: str, writes: bool) -> ToolError:
    if status >= 500:
        return ToolError("unavailable", f"status {status}: {text}", retryable=True, outcome_unknown=writes)
    code = {404: "not_found", 409: "key_reused"}.get(status, "refused")
    return ToolError(code, f"status {status}: {text}", retryable=False)
