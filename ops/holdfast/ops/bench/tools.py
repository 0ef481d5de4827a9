"""The tool of the benchmark: no more than a call that returns, so that what is measured is the engine."""

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
