"""The figures that the demo is judged by, each counted from outside of the engine, and what is wrong with them."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.ops.commands.audit import verified
from holdfast.ops.demo.play import Outcome
from holdfast.ops.demo.stage import Stage
from holdfast.projections import verify
from holdfast.streams import audit

KILLS = 4
JSON_KEYS = (
    "duration_s",
    "kills",
    "emails_sent",
    "paid_model_calls",
    "recorded_model_intents",
    "journal_events",
    "clickhouse_events",
    "rows_differ",
    "chain_ok",
)

_ROWS = "SELECT uniqExact(tenant, workflow_id, sequence) AS events FROM holdfast.events"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What came out.

    `emails_sent` and `email_requests` are from the e-mail system's own journal; `paid_model_calls` from the scripted
    model server's, None if a real model answered. `rows_differ` counts workflows whose live row is not what their
    journal folds to; `tasks_missing` recorded intents that never became a task; `events_differ` events that
    ClickHouse lacks, has too many, or has otherwise than the journal; `chain_ok` is the whole audit of the projections.
    """

    duration_s: float
    kills: int
    emails_sent: int
    email_requests: int
    paid_model_calls: int | None
    recorded_model_intents: int
    journal_events: int
    clickhouse_events: int
    events_differ: int
    rows_differ: int
    tasks_missing: int
    chain_ok: bool

    def as_json(self) -> dict[str, Any]:
        """The figures that `holdfast demo --json` prints."""
        return {key: getattr(self, key) for key in JSON_KEYS}


def mistakes(figures: Figures) -> Iterator[str]:
    """Every figure that is not as it must be, in a sentence; none if all is well."""
    if figures.kills != KILLS:
        yield f"{figures.kills} processes were killed and came back, not {KILLS}"
    if figures.emails_sent != 1:
        yield f"{figures.emails_sent} e-mails were sent, not one"
    if figures.paid_model_calls is not None and figures.paid_model_calls > figures.recorded_model_intents:
        yield f"{figures.paid_model_calls} model calls were paid, but {figures.recorded_model_intents} are on record"
    if not figures.journal_events:
        yield "the journal is empty"
    if figures.clickhouse_events != figures.journal_events or figures.events_differ:
        yield (
            f"the journal has {figures.journal_events} events and ClickHouse {figures.clickhouse_events}, "
            f"{figures.events_differ} differ"
        )
    if figures.rows_differ:
        yield f"{figures.rows_differ} live rows are not what the journal folds to"
    if figures.tasks_missing:
        yield f"{figures.tasks_missing} recorded intents never became a task"
    if not figures.chain_ok:
        yield "the audit of the hash chain found something: `holdfast audit verify`"


async def count(stage: Stage, outcome: Outcome, began_s: float) -> Figures:
    """Count everything, when ClickHouse has the whole journal; the demo began at `began_s` on the monotonic clock.

    Raises what the clients raise.
    """
    project = stage.project
    folded = await audit.compare(project.bootstrap, project.prefix)
    compared, rows, report, emails, paid = await asyncio.gather(
        asyncio.to_thread(verify.compare, project.bootstrap, project.prefix, project.clickhouse),
        asyncio.to_thread(project.clickhouse.query, _ROWS),
        asyncio.to_thread(verified, project.clickhouse),
        asyncio.to_thread(stage.emails.journal),
        asyncio.to_thread(stage.model.paid_calls) if stage.model else _nothing(),
    )
    return Figures(
        duration_s=round(time.monotonic() - began_s, 1),
        kills=len(outcome.kills),
        emails_sent=sum(entry["entry"] == "accepted" for entry in emails),
        email_requests=sum(entry["entry"] == "request" for entry in emails),
        paid_model_calls=None if paid is None else len(paid),
        recorded_model_intents=outcome.model_intents,
        journal_events=folded.journal_events,
        clickhouse_events=int(rows[0]["events"]),
        events_differ=compared.missing + compared.extra + compared.differing,
        rows_differ=len(folded.rows_differ),
        tasks_missing=len(folded.tasks_missing),
        chain_ok=bool(report["ok"]),
    )


async def _nothing() -> None:
    return None
