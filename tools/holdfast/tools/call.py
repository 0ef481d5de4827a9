"""What the engine tells a tool about the call it serves."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One attempt of one call, handed to a tool that has a parameter of this type; a model never sees it.

    `effect_key` is equal for all attempts of the call: send it along as the idempotency key. `attempt` counts from 1.
    `deadline_at_ms` (ms since 1970) is when the engine gives the attempt up.
    """

    effect_key: str
    attempt: int
    deadline_at_ms: int
    tenant: str
    workflow_id: str
