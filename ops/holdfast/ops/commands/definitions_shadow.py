"""`holdfast definitions shadow`: what a candidate would have done with what has happened to workflows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import TenantOption, tenant_of
from holdfast.ops.commands.definitions_diff import ToolsOption, definition_named, published_or_nothing
from holdfast.ops.commands.sql import asking
from holdfast.ops.console import CommandError, JsonOption, emit, progress, say

if TYPE_CHECKING:
    from holdfast.schemas.record import Record
    from holdfast.streams.core.compile import CompiledDefinition
    from holdfast.streams.core.replay import Divergence

WhereOption = Annotated[
    str,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="A condition in SQL over v_workflows; by default all of the candidate's name.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """What became of one history. `result` is same, differs, or unreadable, with `reason` in the last two cases.

    `recorded` and `candidate` are the first event that differs, in words, as it is and as it would be.
    """

    workflow_id: str
    result: str
    events: int
    sequence: int = 0
    step: str = ""
    recorded: str = ""
    candidate: str = ""
    reason: str = ""


def shadow(
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="NAME, NAME@HASH, HASH, or a file in YAML.")],
    where: WhereOption = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the latest change first.")] = 100,
    tools: ToolsOption = None,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Decide what was recorded once more, by a candidate, and show where each workflow would have gone another way.

    Nothing is called, sent or changed. JSON: candidate (name, definition_hash), same, differs, unreadable (counts),
    first_differences (count by step and event), workflows (workflow_id, result, events, sequence, step, recorded,
    candidate, reason).

    Example: holdfast definitions shadow changed.yaml --where "definition_name = 'support-ticket'" --limit 500
    """
    from holdfast.ops.selection import select
    from holdfast.streams.core.compile import compile_published

    compiled = compile_published(definition_named(candidate, published_or_nothing(), tools or ()))
    condition = where or f"definition_name = '{compiled.definition.name}'"
    chosen = tenant_of(tenant)
    with asking() as clickhouse:
        found = select(clickhouse, chosen, condition, limit=limit, ended=True)
        shadows = _shadows(clickhouse, chosen, found.ids, compiled)
    if found.more:
        say(f"the latest {limit}; there are more (--limit)")
    _tell(compiled, shadows, as_json=as_json)


def _shadows(clickhouse: Any, tenant: str, ids: Sequence[str], candidate: "CompiledDefinition") -> list[Shadow]:
    from holdfast.ops.history import history, whole
    from holdfast.streams.core.replay import first_divergence

    shadows = []
    with progress() as report:
        for done, workflow_id in enumerate(ids):
            report("histories", done, len(ids))
            try:
                journal = list(whole(history(clickhouse, tenant, workflow_id)))
            except CommandError as exc:
                shadows.append(Shadow(workflow_id=workflow_id, result="unreadable", events=0, reason=str(exc)))
                continue
            shadows.append(_shadow(workflow_id, len(journal), first_divergence(journal, candidate)))
        report("histories", len(ids), len(ids))
    return shadows


def _shadow(workflow_id: str, events: int, found: "Divergence | None") -> Shadow:
    if found is None:
        return Shadow(workflow_id=workflow_id, result="same", events=events)
    return Shadow(
        workflow_id=workflow_id,
        result="differs",
        events=events,
        sequence=found.sequence,
        step=found.step,
        recorded=_words(found.recorded),
        candidate=_words(found.candidate),
        reason=found.reason,
    )


def _words(event: "Record | None") -> str:
    from holdfast.ops.event_text import says

    return "" if event is None else f"{type(event).__name__} {says(event)}"


def _tell(candidate: "CompiledDefinition", shadows: Sequence[Shadow], *, as_json: bool) -> None:
    from holdfast.ops.event_text import short_hash

    counts = {result: sum(one.result == result for one in shadows) for result in ("same", "differs", "unreadable")}
    places = Counter((one.step, one.recorded.partition(" ")[0]) for one in shadows if one.result == "differs")
    if as_json:
        first = [{"step": step, "event": event, "count": count} for (step, event), count in places.most_common()]
        version = {"name": candidate.definition.name, "definition_hash": candidate.hash}
        rows = [asdict(one) for one in shadows]
        emit({"candidate": version, **counts, "first_differences": first, "workflows": rows}, as_json=True)
        return
    others = [one for one in shadows if one.result != "same"]
    if others:
        columns = ("workflow", "sequence", "step", "recorded", "candidate", "reason")
        emit([{"workflow": one.workflow_id, **asdict(one)} for one in others], table=columns)
    told = ", ".join(f"{count} {result}" for result, count in counts.items() if count or result != "unreadable")
    emit(f"{candidate.definition.name} @ {short_hash(candidate.hash)} over {len(shadows)} histories: {told}")
    for (step, event), count in places.most_common():
        emit(f"  {count} first differ at {step or 'no step'}, {event or 'an event more'}")
