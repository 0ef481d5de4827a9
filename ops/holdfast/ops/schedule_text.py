"""Schedules in words: their timing, and one of them as text for a terminal. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.ops.event_text import brief, distance, duration, moment, safe, short_hash
from holdfast.ops.schedules import Firing, Run, Upcoming
from holdfast.streams.core.definition import ScheduleStep
from holdfast.streams.core.schedule import Overlap, Timing
from holdfast.streams.core.times import END_OF_TIME_MS

VALUE_LIMIT = 400
_OVERLAPS: Mapping[Overlap, str] = {
    "skip": "a firing is skipped while an earlier workflow runs",
    "buffer_one": "a firing is held back while an earlier workflow runs, one at most",
    "allow": "a firing starts its workflow whether or not an earlier one runs",
    "cancel_old": "a firing cancels earlier workflows that run",
}
_STYLES: Mapping[str, str] = {
    "active": "cyan",
    "paused": "yellow",
    "blocked": "bold red",
    "failed": "red",
    "deleted": "yellow",
    "refused": "red",
    "lapsed": "yellow",
    "skipped": "yellow",
    "buffered": "cyan",
}


def timing_words(timing: Timing) -> str:
    """When a schedule fires, in a few words: `30 2 * * MON-FRI on the clocks of Europe/Paris`, `every 1h`."""
    if timing.cron is not None:
        return f"{timing.cron} on the clocks of {timing.zone}"
    if timing.every_ms is not None:
        return f"every {duration(timing.every_ms)}" + (
            f" plus {duration(timing.offset_ms)}" if timing.offset_ms else ""
        )
    return f"once, at {moment(timing.at_ms or 0)}"


def policy_words(timing: Timing) -> Iterator[tuple[str, str]]:
    """What else a timing says, as (name, sentence)."""
    yield "overlap", f"{timing.overlap}: {_OVERLAPS[timing.overlap]}"
    yield "catch-up", f"what was missed is made up for within {duration(timing.catch_up_window_ms)}"
    if timing.jitter_ms:
        yield "jitter", f"a firing happens up to {duration(timing.jitter_ms)} late"
    if timing.start_ms:
        yield "from", moment(timing.start_ms)
    if timing.end_ms < END_OF_TIME_MS:
        yield "until", moment(timing.end_ms)


def render(
    run: Run,
    step: ScheduleStep | None,
    facts: Mapping[str, str],
    fired: Sequence[Firing],
    ahead: Sequence[Upcoming],
    now_ms: int,
) -> RenderableType:
    """The whole schedule: what it does, what became of its last firings, and the next ones.

    `step` is None if the definition that it runs by is not known any more; `facts` are further lines of the header.
    """
    head = Text.assemble((run.name, "bold"), "  ", (run.standing, _STYLES.get(run.standing, "")))
    if run.reason and run.standing not in ("active", "over"):
        head.append(safe(f"  by {run.acted_by}: {brief(run.reason)}"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in (*_facts(run, step), *facts.items()):
        grid.add_row(name, Text(safe(value)))
    parts: list[RenderableType] = [head, grid, "", _fired(fired)]
    if ahead:
        parts += ["", _ahead(ahead, now_ms, paused=run.standing == "paused")]
    return Group(*parts, "", *[Text.assemble(("next  ", "dim"), command) for command in _commands(run)])


def _facts(run: Run, step: ScheduleStep | None) -> Iterator[tuple[str, str]]:
    if step is not None:
        yield "fires", timing_words(step.timing)
        yield from policy_words(step.timing)
        yield "input", brief(step.input, VALUE_LIMIT)
    ended = f", ended {moment(run.ended_at_ms)}" if run.ended_at_ms else ""
    yield "workflow", f"{run.workflow_id} @ {short_hash(run.definition_hash)}, since {moment(run.started_at_ms)}{ended}"
    yield "started", f"{run.started} workflow{'' if run.started == 1 else 's'}"


def _fired(fired: Sequence[Firing]) -> RenderableType:
    if not fired:
        return Text("nothing has fired yet", "dim")
    grid = _table("last firings (UTC)", "became", "workflow", "status")
    for firing in fired:
        late = " and what followed" if firing.outcome == "lapsed" else ""
        grid.add_row(
            f"{moment(firing.nominal_at_ms).removesuffix(' UTC')}{late}",
            Text(firing.outcome, _STYLES.get(firing.outcome, "")),
            safe(firing.workflow_id),
            firing.error or firing.status,
        )
    return grid


def _ahead(ahead: Sequence[Upcoming], now_ms: int, *, paused: bool) -> RenderableType:
    zone = ahead[0].zone
    local = [zone] if zone != "UTC" else []
    grid = _table("next, once it is resumed (UTC)" if paused else "next (UTC)", *local, "")
    for coming in ahead:
        shown = [coming.local.replace("T", " ")] if local else []
        nominal = moment(coming.nominal_at_ms).removesuffix(" UTC")
        grid.add_row(nominal, *shown, Text(distance(coming.fires_at_ms, now_ms), "dim"))
    return grid


def _table(*names: str) -> Table:
    grid = Table.grid(padding=(0, 2))
    for _ in names:
        grid.add_column(no_wrap=True)
    grid.add_row(*[Text(name, "dim") for name in names])
    return grid


def _commands(run: Run) -> Iterator[str]:
    if run.ended:
        yield "holdfast schedules apply FILE"
    elif run.standing == "paused":
        yield f'holdfast schedules resume {run.name} --reason "..."'
    elif run.standing == "blocked":
        yield f"holdfast show {run.workflow_id}"
    else:
        yield f'holdfast schedules trigger {run.name} --reason "..."'
        yield f'holdfast schedules pause {run.name} --reason "..."'
