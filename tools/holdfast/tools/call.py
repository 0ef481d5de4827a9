"""What the engine tells a tool about the call it serves."""

from dataclasses import dataclass, field
from threading import Event

from holdfast.tools.errors import CANCELLED, ToolError


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One attempt of one call, handed to a tool that has a parameter of this type; a model never sees it.

    `effect_key` is equal for all attempts of the call: send it along as the idempotency key. `attempt` counts from 1.
    `deadline_at_ms` (ms since 1970) is when the engine gives the attempt up. A lookup gets the call that it searches
    for: the same effect key, the attempt of which nobody knows, and its own deadline.
    """

    effect_key: str
    attempt: int
    deadline_at_ms: int
    tenant: str
    workflow_id: str
    _given_up: Event = field(default_factory=Event, init=False, repr=False, compare=False)

    @property
    def cancelled(self) -> bool:
        """True once nobody waits for the call any more: from then on a tool that has not acted should not.

        It may turn true at any moment. What the tool did by then still counts, so a tool that has acted goes on to
        its end and returns its result as usual: the engine may have to undo it.
        """
        return self._given_up.is_set()

    def raise_if_cancelled(self) -> None:
        """Give up if nobody waits for the call any more; for the places before the effect.

        Raises ToolError `cancelled`, which says that nothing has happened.
        """
        if self.cancelled:
            raise ToolError(CANCELLED, "nobody waited for the call any more, and it had not acted", retryable=False)

    def give_up(self) -> None:
        """Say that nobody waits for the call any more; what the engine does, and a test of a tool may do."""
        self._given_up.set()
