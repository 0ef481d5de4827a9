"""One approval for the person who decides: what exactly would be done, under which hash. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.ops.event_text import HASH_LENGTH, distance, moment, safe, short_hash, until
from holdfast.ops.history import ms_of
from holdfast.schemas import jsontext
from holdfast.schemas.record import Json

ID_LENGTH = 8


@dataclass(frozen=True, kw_only=True)
class Question:
    """An approval as the tables know it. `status` is open, approved, rejected or expired; None: has not happened."""

    approval_id: str
    workflow_id: str
    tenant: str
    definition: str
    step: str
    status: str
    tool: str
    arguments: Json
    action_hash: str
    roles: tuple[str, ...]
    summary: str
    started_by: str
    requested_at_ms: int | None
    expires_at_ms: int | None
    decided_at_ms: int | None
    decided_by: str
    comment: str
    used_by: str


_DECISIONS = {"approve": "approved", "reject": "rejected"}


def question_of(row: Mapping[str, Any], *, step: str, started_by: str) -> Question:
    """The approval in a row of `v_approvals`, with what its workflow's events say about it."""
    return Question(
        approval_id=row["approval_id"],
        workflow_id=row["workflow_id"],
        tenant=row["tenant"],
        definition=row["definition_name"],
        step=step,
        status=_DECISIONS.get(row["decision"], row["status"]),
        tool=row["tool"],
        arguments=_json(row["arguments"]),
        action_hash=row["action_hash"],
        roles=_roles(row["roles"]),
        summary=row["summary"],
        started_by=started_by,
        requested_at_ms=ms_of(row["requested_at"]),
        expires_at_ms=ms_of(row["expires_at"]),
        decided_at_ms=ms_of(row["decided_at"]),
        decided_by=row["decided_by"],
        comment=row["comment"],
        used_by=row["used_by"],
    )


def _json(text: str) -> Json:
    return jsontext.loads(text) if text else None


def _roles(text: str) -> tuple[str, ...]:
    roles = _json(text)
    return tuple(str(role) for role in roles) if isinstance(roles, list) else ()


def chosen_hash(question: Question, given: str) -> str:
    """The hash to decide about: the one that was given, completed if it is the beginning of the one that is shown."""
    if not given or (len(given) >= HASH_LENGTH and question.action_hash.startswith(given)):
        return question.action_hash
    return given  # about another call: for the engine to refuse, and to record


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """An open approval as `approvals list --json` prints it."""
    return {
        "approval_id": row["approval_id"],
        "workflow_id": row["workflow_id"],
        "tenant": row["tenant"],
        "definition": row["definition_name"],
        "step": row["step"],
        "tool": row["tool"],
        "summary": row["summary"],
        "roles": list(_roles(row["roles"])),
        "action_hash": row["action_hash"],
        "requested_at_ms": ms_of(row["requested_at"]),
        "expires_at_ms": ms_of(row["expires_at"]),
    }


def in_words(row: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """A row of `listed` as a line of a table for people."""
    return {
        "approval": row["approval_id"][:ID_LENGTH],
        "workflow": row["workflow_id"],
        "tool": row["tool"],
        "summary": safe(row["summary"]),
        "asks": " or ".join(row["roles"]),
        "expires": distance(row["expires_at_ms"], now_ms),
        "hash": short_hash(row["action_hash"]),
    }


def render(question: Question, now_ms: int, *, with_next: bool) -> RenderableType:
    """The whole approval; `with_next` adds what to type to decide it while it is open."""
    head = Text.assemble(("approval ", ""), (question.approval_id, "bold"), "  ", (question.status, "magenta"))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(question, now_ms):
        facts.add_row(name, Text(safe(value)))
    arguments = Table.grid(padding=(0, 2))
    arguments.add_column(no_wrap=True)
    arguments.add_column(overflow="fold")
    arguments.add_row(Text("argument", "dim"), Text("value", "dim"))
    for name, value in _arguments(question.arguments):
        arguments.add_row(Text(safe(name)), Text(value))
    parts: list[RenderableType] = [head, facts, "", arguments]
    if with_next and question.status == "open":
        decide = f"{question.approval_id[:ID_LENGTH]} --hash {short_hash(question.action_hash)}"
        parts += ["", *[Text.assemble(("next  ", "dim"), f"holdfast approvals {verb} {decide}") for verb in _DECISIONS]]
    return Group(*parts)


def _facts(question: Question, now_ms: int) -> Iterator[tuple[str, str]]:
    yield "workflow", f"{question.workflow_id} ({question.definition}, step {question.step})"
    open_ = question.status == "open"
    if question.started_by:
        yield "started by", question.started_by + (", who may not decide" if open_ else "")
    yield "asks", " or ".join(question.roles)
    if open_ and question.expires_at_ms is not None:
        yield "expires", until(question.expires_at_ms, now_ms)
    if question.decided_at_ms is not None:
        yield "decided", f"{question.status} by {question.decided_by}, {moment(question.decided_at_ms)}"
    if question.comment:
        yield "comment", question.comment
    if question.used_by:
        yield "used by", question.used_by
    yield "summary", question.summary
    yield "tool", question.tool
    yield "hash", question.action_hash


def _arguments(arguments: Json) -> Iterator[tuple[str, str]]:
    """Each argument with its exact value: text line by line, anything else as JSON."""
    for name, value in arguments.items() if isinstance(arguments, dict) else [("", arguments)]:
        text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
        yield name, "\n".join(map(safe, text.split("\n")))
