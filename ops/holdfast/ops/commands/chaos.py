"""`holdfast chaos`: break everything, over and over, and count what was lost."""

import math
import secrets
from collections.abc import Collection, Mapping
from typing import Annotated, Any

import typer

from holdfast.ops.console import EXIT_REFUSED, JsonOption, emit, progress, say

KILLS_PER_SUSPENSION = 5


def register(app: typer.Typer) -> None:
    """Add `holdfast chaos`."""
    app.command("chaos")(chaos)


def chaos(
    workflows: Annotated[int, typer.Option(min=1, max=20_000, help="Workflows to run.")] = 300,
    kills: Annotated[int, typer.Option(min=0, max=10_000, help="Processes to kill, the broker among them.")] = 30,
    suspensions: Annotated[
        int | None, typer.Option(min=0, max=2_000, help="Processes to suspend for longer than their group waits.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="What everything is drawn from; a run without one prints its own.")
    ] = None,
    duration_limit: Annotated[float, typer.Option(min=1, help="Seconds after which the load is given up.")] = 1_800,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder even if nothing is wrong.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Kill and suspend broker, orchestrator, executors and sink under load; count what is lost, doubled or different.

    Works in a project of its own in a temporary folder. Exit code 1 if any count is off: the folder is kept then.

    Example: holdfast chaos --workflows 300 --kills 30 --seed 7 --json
    """
    from holdfast.ops.chaos.faults import schedule
    from holdfast.ops.chaos.mix import generate
    from holdfast.ops.chaos.run import MUST_BE_ZERO, Plan, passed, run_chaos

    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    stops = math.ceil(kills / KILLS_PER_SUSPENSION) if suspensions is None else suspensions
    faults = schedule(chosen, kills, stops)
    say(f"seed {chosen}, {workflows} workflows, {len(faults)} faults:")
    for fault in faults:
        say(f"  {fault}")
    plan = Plan(
        seed=chosen,
        mix=generate(chosen, workflows),
        faults=faults,
        duration_limit_s=duration_limit,
        keep=keep,
    )
    with progress() as report:
        result = run_chaos(plan, report)
    if as_json:
        emit(result, as_json=True)
    else:
        emit(rows_of(result, MUST_BE_ZERO))
    if "home" in result:
        say(f"the folder is kept: {result['home']}")
    if not passed(result):
        raise typer.Exit(EXIT_REFUSED)


def rows_of(result: Mapping[str, Any], must_be_zero: Collection[str]) -> list[dict[str, Any]]:
    """The result as rows for people; what is off is marked."""
    rows = []
    for name, value in result.items():
        text = [f"{count} x {what}" for what, count in value.items()] if isinstance(value, Mapping) else value
        verdict = ("off" if value else "ok") if name in must_be_zero else ""
        rows.append({"figure": name.replace("_", " "), "value": text, "": verdict})
    return [row for row in rows if row["value"] != []]
