"""`holdfast approvals`: what waits for a person's word, and giving it."""

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import (
    Acting,
    ActorOption,
    TenantOption,
    acting,
    asking_engine,
    goes_on,
    settled,
    tenant_of,
)
from holdfast.ops.commands.sql import asking
from holdfast.ops.commands.workflow_views import eventually
from holdfast.ops.console import CommandError, JsonOption, emit

if TYPE_CHECKING:
    from holdfast.ops.approval_text import Question

ApprovalArgument = Annotated[str, typer.Argument(metavar="APPROVAL_ID", help="Its id, or how that begins.")]
HashOption = Annotated[
    str, typer.Option("--hash", help="The hash that you saw: decide about that call, whatever the tables say now.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask again.")]


def register(app: typer.Typer) -> None:
    """Add `holdfast approvals`."""
    group = typer.Typer(no_args_is_help=True, help="What waits for a person's word, and giving it.")
    group.command("list")(list_)
    group.command("show")(show)
    group.command("approve")(approve)
    group.command("reject")(reject)
    app.add_typer(group, name="approvals")


def list_(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """Open approvals, the most urgent first.

    JSON, one per approval: approval_id, workflow_id, tenant, definition, step, tool, summary, roles, action_hash,
    requested_at_ms, expires_at_ms.

    Example: holdfast approvals list
    """
    from holdfast.ops.approval_text import listed

    with asking() as clickhouse:
        rows = [listed(row) for row in clickhouse.named("open_approvals", tenant=tenant_of(tenant))]
    if as_json:
        emit(rows, as_json=True)
        return
    from holdfast.ops.approval_text import in_words

    emit([in_words(row, int(time.time() * 1000)) for row in rows])


def show(approval_id: ApprovalArgument, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """One approval: the exact call that it is about, its hash, and who may decide until when.

    JSON: approval_id, workflow_id, tenant, definition, step, status (open, approved, rejected, expired, ended), tool,
    arguments, action_hash, roles, summary, started_by, requested_at_ms, expires_at_ms, decided_at_ms, decided_by,
    comment, used_by (effect key of the call that used it).

    Example: holdfast approvals show 3f2a91c0
    """
    from dataclasses import asdict

    question = _question(tenant_of(tenant), approval_id)
    if as_json:
        emit(asdict(question), as_json=True)
        return
    _show(question, with_next=True)


def approve(
    approval_id: ApprovalArgument,
    action_hash: HashOption = "",
    comment: Annotated[str, typer.Option(help="Your words; they are recorded.")] = "",
    yes: YesOption = False,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Allow the exact call that an approval is about; it is shown first.

    JSON: approval_id, decision, action_hash, workflow_id, tenant, event_id, partition, offset, outcome (folded,
    refused); refused: code, message, cure.

    Example: holdfast approvals approve 3f2a91c0 --hash 5b1de0a77c40 --as lea
    """
    _decide("approve", approval_id, action_hash, comment, yes, tenant, actor, as_json)


def reject(
    approval_id: ApprovalArgument,
    action_hash: HashOption = "",
    comment: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    yes: YesOption = False,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Refuse the call that an approval is about.

    JSON: as for `approve`.

    Example: holdfast approvals reject 3f2a91c0 --comment "The amount is wrong."
    """
    _decide("reject", approval_id, action_hash, comment, yes, tenant, actor, as_json)


def _decide(
    decision: str,
    approval_id: str,
    action_hash: str,
    comment: str,
    yes: bool,
    tenant: str,
    actor: str,
    as_json: bool,
) -> None:
    from holdfast.ops.approval_text import chosen_hash

    who = acting(tenant, actor)
    question = _question(who.tenant, approval_id)
    if not as_json:
        _show(question, with_next=False)
    # Somebody who gives the hash has seen the call; somebody at a terminal who does not is asked.
    if not (action_hash or yes or as_json) and sys.stdin.isatty() and not typer.confirm(f"{decision} this?"):
        raise CommandError("nothing was decided")
    asyncio.run(_send(who, question, decision, chosen_hash(question, action_hash), comment, as_json=as_json))


async def _send(
    who: Acting, question: "Question", decision: str, action_hash: str, comment: str, *, as_json: bool
) -> None:
    async with asking_engine(who, question.workflow_id) as (client, answers):
        receipt = await client.decide(
            question.workflow_id, question.approval_id, decision, action_hash, comment=comment
        )
        facts = {"approval_id": question.approval_id, "decision": decision, "action_hash": action_hash}
        verdict, said = await settled(who, answers, receipt, as_json=as_json, **facts)
    done = {"approve": "approved", "reject": "rejected"}[decision]
    emit(said if as_json else f"{done} by {who.actor}: {goes_on(verdict)}", as_json=as_json)


def _show(question: "Question", *, with_next: bool) -> None:
    from holdfast.ops.approval_text import render
    from holdfast.ops.screen import show as show_text

    show_text(render(question, int(time.time() * 1000), with_next=with_next))


_APPROVALS = """
SELECT * FROM holdfast.v_approvals
WHERE tenant = {tenant:String} AND startsWith(approval_id, {approval:String}) LIMIT 2"""
_ORIGIN = """
SELECT argMinIf(actor_id, kafka_offset, sequence = 1) AS started_by,
       argMinIf(step, kafka_offset, approval_id = {approval:String} AND type = 'ApprovalRequested') AS step
FROM holdfast.events WHERE tenant = {tenant:String} AND workflow_id = {workflow:String}"""


def _question(tenant: str, approval_id: str) -> "Question":
    """The approval whose id begins like that. Raises CommandError if there is none, or more than one."""
    from holdfast.ops.approval_text import question_of

    with asking() as clickhouse:
        rows: list[dict[str, Any]] = eventually(
            lambda: clickhouse.query(_APPROVALS, {"tenant": tenant, "approval": approval_id})
        )
        if len(rows) == 1:
            row = rows[0]
            asked = {"tenant": tenant, "workflow": row["workflow_id"], "approval": row["approval_id"]}
            return question_of(row, **clickhouse.query(_ORIGIN, asked)[0])
    if rows:
        raise CommandError(f"more than one approval begins with {approval_id!r}", cure="give more of its id")
    raise CommandError(
        f"no approval {approval_id!r} of tenant {tenant!r} is known to the tables",
        cure="`holdfast approvals list`; `holdfast projections status`, if it was asked for a moment ago",
    )
