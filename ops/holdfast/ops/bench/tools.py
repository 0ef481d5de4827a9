"""The tools of the benchmark: calls that return at once or after a while, so that what is measured is the engine."""

import asyncio

from pydantic import BaseModel

from holdfast.tools import tool


class Looked(BaseModel):
    """What was found."""

    number: int
    found: bool


@tool(effect="read")
async def bench_look(number: int) -> Looked:
    """Return at once."""
    return Looked(number=number, found=True)


@tool(effect="read")
async def bench_quick() -> Looked:
    """Return after 50 ms."""
    await asyncio.sleep(0.05)
    return Looked(number=0, found=True)


@tool(effect="read")
async def bench_slow() -> Looked:
    """Return after 200 ms."""
    await asyncio.sleep(0.2)
    return Looked(number=0, found=True)
