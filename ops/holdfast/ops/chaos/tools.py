"""The tools of a chaos run: each of them is one request to the outside system."""

import os
from typing import Any

import aiohttp
from pydantic import BaseModel

from holdfast.ops.scripted_model.outside_system import IDEMPOTENCY_KEY
from holdfast.tools import ToolCall, ToolError, tool

URL_VARIABLE = "CHAOS_TARGET_URL"
REQUEST_TIMEOUT_S = 8.0
# Over the engine's limit for calls without a claim.
CLAIMED_TIMEOUT_MS = 20_000
MAX_ATTEMPTS = 100


class Count(BaseModel):
    """How many reads the outside system has seen."""

    count: int


class Applied(BaseModel):
    """What was done."""

    ref: str


@tool(effect="read", max_attempts=MAX_ATTEMPTS)
async def chaos_look() -> Count:
    """Read."""
    return Count(**await _request("GET", "/counter"))


@tool(effect="keyed", max_attempts=MAX_ATTEMPTS)
async def chaos_apply(ref: str, delay_ms: int, call: ToolCall) -> Applied:
    """Do something once, without a claim."""
    return await _apply(ref, delay_ms, call)


@tool(effect="keyed", timeout_ms=CLAIMED_TIMEOUT_MS, max_attempts=MAX_ATTEMPTS)
async def chaos_apply_claimed(ref: str, delay_ms: int, call: ToolCall) -> Applied:
    """Do something once, with a claim."""
    return await _apply(ref, delay_ms, call)


async def _apply(ref: str, delay_ms: int, call: ToolCall) -> Applied:
    return Applied(**await _request("POST", "/effects", {"ref": ref, "delay_ms": delay_ms}, call.effect_key))


async def _request(method: str, path: str, body: dict[str, Any] | None = None, key: str = "") -> dict[str, Any]:
    """The JSON answer. Raises ToolError, which says whether a write may have happened."""
    headers = {IDEMPOTENCY_KEY: key} if key else {}
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, os.environ[URL_VARIABLE] + path, json=body, headers=headers) as response,
        ):
            if response.status < 400:
                answer: dict[str, Any] = await response.json()
                return answer
            refusal = f"status {response.status}: {await response.text()}"
            known = response.status < 500
    except (TimeoutError, aiohttp.ClientError) as exc:
        raise ToolError("unavailable", repr(exc), retryable=True, outcome_unknown=bool(key)) from exc
    raise ToolError("refused" if known else "unavailable", refusal, not known, outcome_unknown=bool(key) and not known)
