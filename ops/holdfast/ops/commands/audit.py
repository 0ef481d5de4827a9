"""`holdfast audit`: is the record whole, and was nothing done twice or unasked?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.sql import asking
from holdfast.ops.console import EXIT_REFUSED, JsonOption, emit

if TYPE_CHECKING:
    from holdfast.projections.client import ClickHouse

# What must be zero, and what it means if it is not.
FINDINGS = {
    "hash_mismatches": "events that are not what was hashed",
    "broken_links": "events whose predecessor is another one",
    "gaps": "places where events are missing within a workflow",
    "missing_heads": "workflows whose first events are missing",
    "missing_tails": "workflows whose last events are missing",
    "forks": "second events under one sequence",
    "erased_payloads": "events whose payload was removed",
    "missing_offsets": "journal records without a row",
    "unreadable_records": "journal records that became dead letters",
    "repeated_effects": "calls that must not be made twice (lookup, once) and were",
    "unrequested_effects": "calls without a recorded intent",
    "unapproved_effects": "calls whose approval does not cover them",
    "doubled_events": "events for the first who waits that ended more than one wait",
    "unfounded_forks": "forks after an event that the history which they name does not have",
}
REPEATABLE = ("read", "txn", "keyed")


def register(app: typer.Typer) -> None:
    """Add `holdfast audit`."""
    audit = typer.Typer(no_args_is_help=True, help="Is the record whole, and was nothing done twice or unasked?")
    # With one command alone, typer would leave out its name.
    audit.callback()(lambda: None)
    audit.command("verify")(verify)
    app.add_typer(audit, name="audit")


def verify(
    tenant: Annotated[str, typer.Option(help="Only this tenant; empty for all.")] = "",
    since: Annotated[
        str, typer.Option(help="Only chains of workflows touched since then, as YYYY-MM-DD HH:MM:SS in UTC.")
    ] = "1970-01-01 00:00:00",
    as_json: JsonOption = False,
) -> None:
    """Recompute every hash chain and look for what is missing, doubled or unasked. Exit code 1 if anything is.

    Example: holdfast audit verify --json
    """
    with asking() as client:
        report = verified(client, tenant=tenant, since=since)
    if as_json:
        emit(report, as_json=True)
    else:
        emit([{"finding": name, "count": report[name], "meaning": FINDINGS[name]} for name in FINDINGS])
        emit(report["where"] or f"{report['events']} events of {report['workflows']} workflows: nothing is wrong")
    if not report["ok"]:
        raise typer.Exit(EXIT_REFUSED)


def verified(client: "ClickHouse", *, tenant: str = "", since: str = "1970-01-01 00:00:00") -> dict[str, Any]:
    """The report: `ok`, `events`, `workflows`, a count for each of FINDINGS, and `where` with up to 1000 places.

    Raises what the client raises.
    """
    chain = client.named("chain", tenant=tenant, since=since)[0]
    lists = {
        "missing_tails": client.named("missing_tails", tenant=tenant),
        # A read, or a keyed call made again under its key, is what recovery does: the effect is still one.
        "repeated_effects": [
            row for row in client.named("repeated_effects", tenant=tenant) if row["effect"] not in REPEATABLE
        ],
        "unrequested_effects": client.named("unrequested_effects", tenant=tenant),
        "unapproved_effects": client.named("unapproved_effects", tenant=tenant),
        "doubled_events": client.named("doubled_events", tenant=tenant),
        "unfounded_forks": client.named("unfounded_forks", tenant=tenant),
    }
    partitions = client.named("partitions")
    counts = {
        **chain,
        **{name: len(rows) for name, rows in lists.items()},
        "missing_offsets": sum(row["missing_offsets"] for row in partitions),
        "unreadable_records": sum(row["unreadable"] for row in partitions),
    }
    ok = not any(counts[name] for name in FINDINGS)
    where = [] if ok else client.named("chain_breaks", tenant=tenant, since=since)
    where += [{"finding": name, **row} for name, rows in lists.items() for row in rows]
    return {"ok": ok, **counts, "where": where[:1000]}
