"""The workflow's events as sentences for somebody who has not read the documentation. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.ops.event_text import brief, duration, short_hash
from holdfast.ops.timeline import SCRIPTED
from holdfast.schemas import events as e
from holdfast.schemas.record import EventMeta, Message, Record

ENGINE = "engine"
AGENT = "agent"
TICKETS = "ticket system"
EMAILS = "e-mail system"
CUSTOMER = "customer"
QUOTE_LIMIT = 55

Said = tuple[str, str]
"""Who, and what."""


class Storyteller:
    """Tells events one by one. What is scripted is called so, because the event says so."""

    def __init__(self) -> None:
        self._scripted = False

    def tell(self, message: Message[Record]) -> Said | None:
        """Who did what, None for events that a story does without."""
        body: Any = message.body
        if isinstance(body, e.ModelCallCompleted):
            self._scripted = body.provider == SCRIPTED
            return None
        say = _SAYS.get((type(body), getattr(body, "step", ""))) or _SAYS.get((type(body), ""))
        if say is None:
            return None
        who, what = say(body, message.meta)
        return (f"{who} (scripted)" if who == AGENT and self._scripted else who), what


def _quoted(text: object) -> str:
    return f'"{brief(text, QUOTE_LIMIT)}"'


def _begun(body: e.WorkflowStarted, _meta: EventMeta) -> Said:
    given: Any = body.input
    return TICKETS, f"hands over {brief(given['ticket_id'])}: the workflow starts"


def _looked_up(body: e.ToolCallCompleted, _meta: EventMeta) -> Said:
    result: Any = body.result
    if body.tool == "read_ticket":
        return AGENT, f"reads the ticket: {_quoted(result['subject'])}"
    return AGENT, f"looks up the customer's orders: {len(result['orders'])} found"


def _triaged(body: e.StepCompleted, _meta: EventMeta) -> Said:
    output: Any = body.output
    return AGENT, f"files it as {brief(output['category'])} and asks: {_quoted(output['question'])}"


def _failed(body: e.ModelCallFailed | e.ToolCallFailed, _meta: EventMeta) -> Said:
    what = body.tool if isinstance(body, e.ToolCallFailed) else "a model call"
    return ENGINE, f"{what} failed ({body.error_class})" + ("; tries again" if body.retry_at_ms else "")


def _waits(body: e.WaitStarted, meta: EventMeta) -> Said:
    return ENGINE, f"waits for the reply, for up to {duration(body.expires_at_ms - meta.recorded_at_ms)}"


def _replied(body: e.EventReceived, _meta: EventMeta) -> Said:
    payload: Any = body.payload
    return CUSTOMER, f"replies: {_quoted(payload['text'])}"


def _drafted(body: e.StepCompleted, _meta: EventMeta) -> Said:
    output: Any = body.output
    return AGENT, f"drafts the e-mail {_quoted(output['subject'])}"


def _asked(body: e.ApprovalRequested, _meta: EventMeta) -> Said:
    return ENGINE, f"asks a {' or '.join(body.roles)} to allow exactly this e-mail, {short_hash(body.action_hash)}"


def _sent(body: e.ToolCallCompleted, _meta: EventMeta) -> Said:
    result: Any = body.result
    return EMAILS, f"has sent the e-mail to {brief(result['to'])}"


_SAYS: Mapping[tuple[type[Record], str], Callable[[Any, EventMeta], Said]] = {
    (e.WorkflowStarted, ""): _begun,
    (e.ToolCallCompleted, "triage"): _looked_up,
    (e.StepCompleted, "triage"): _triaged,
    (e.ToolCallCompleted, "ask"): lambda _body, _: (TICKETS, "passes the question on to the customer"),
    (e.WaitStarted, ""): _waits,
    (e.EventReceived, ""): _replied,
    (e.StepCompleted, "draft"): _drafted,
    (e.ApprovalRequested, ""): _asked,
    (e.ApprovalDecided, ""): lambda body, meta: (meta.actor_id, f"{body.decision}s it"),
    (e.ToolCallCompleted, "send"): _sent,
    (e.ToolCallCompleted, "close"): lambda _body, _: (TICKETS, "has closed the ticket"),
    (e.ModelCallFailed, ""): _failed,
    (e.ToolCallFailed, ""): _failed,
    (e.WorkflowCompleted, ""): lambda _body, _: (ENGINE, "the workflow has completed"),
}
