"""`holdfast simulate`: the engine in one process and virtual time, with every fault on purpose."""

import os
import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.console import EXIT_REFUSED, JsonOption, emit, progress, say

if TYPE_CHECKING:
    from holdfast.ops.simulate.world import Result

TRACE_LINES = 60


def register(app: typer.Typer) -> None:
    """Add `holdfast simulate`."""
    app.command("simulate")(simulate)


def simulate(
    seed: Annotated[
        int | None, typer.Option(min=0, help="The first seed; a command without one prints its own.")
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Runs to make, one for each seed from there on.")
    ] = 100,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 for one on each core.")] = 0,
    trace: Annotated[bool, typer.Option("--trace", help="Print what happens in one run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run generated workflows against every fault, in virtual time, and check every invariant after every step.

    JSON: runs, steps, workflows, faults by kind, invariant_checks, failures (seed, invariant, sentence, the smallest
    run that was found with its trace). Exits with 1 if an invariant does not hold.

    Example: holdfast simulate --seed 1 --runs 200; holdfast simulate --seed 7 --runs 1 --trace
    """
    from holdfast.ops.simulate.runs import simulate_all

    first = secrets.randbelow(1_000_000) if seed is None else seed
    if trace:
        _one(first, as_json=as_json)
        return
    say(f"seeds {first} to {first + runs - 1}")
    with progress() as report:
        total = simulate_all(
            range(first, first + runs),
            jobs or os.cpu_count() or 1,
            lambda done, all_: report("simulating", done, all_),
        )
    failures = [_failure(result) for result in total.failures[:3]]
    failures += [_brief(result) for result in total.failures[3:]]
    result: dict[str, Any] = {
        "runs": total.runs,
        "steps": total.steps,
        "workflows": total.workflows,
        "faults": dict(sorted(total.faults.items())),
        "invariant_checks": total.invariant_checks,
        "failures": failures,
    }
    if as_json:
        emit(result, as_json=True)
    else:
        _show(result)
    if failures:
        raise typer.Exit(EXIT_REFUSED)


def _one(seed: int, *, as_json: bool) -> None:
    from holdfast.ops.simulate.faults import Plan
    from holdfast.ops.simulate.world import simulate

    result = simulate(Plan.of(seed), traced=True)
    if as_json:
        emit({**_brief(result), "trace": list(result.trace)}, as_json=True)
    else:
        emit("\n".join(result.trace))
    if result.broken is not None:
        raise typer.Exit(EXIT_REFUSED)


def _brief(result: "Result") -> dict[str, Any]:
    invariant, sentence = result.broken or ("", "")
    return {"seed": result.plan.seed, "invariant": invariant, "sentence": sentence}


def _failure(result: "Result") -> dict[str, Any]:
    """A failure with the smallest run that shows it."""
    from holdfast.ops.simulate.shrink import shrink

    small = shrink(result)
    return {
        **_brief(result),
        "smallest": {
            "workflows": small.plan.workflows,
            "steps": small.plan.steps,
            "faults": sorted(small.plan.rates),
            "sentence": small.broken[1] if small.broken is not None else "",
        },
        "trace": list(small.trace[-TRACE_LINES:]),
    }


def _show(result: dict[str, Any]) -> None:
    emit({name: value for name, value in result.items() if name not in ("faults", "failures")})
    emit([{"fault": kind, "times": count} for kind, count in result["faults"].items()])
    for failure in result["failures"]:
        emit(f"\nseed {failure['seed']}: {failure['invariant']}: {failure['sentence']}")
        if "smallest" in failure:
            small = failure["smallest"]
            faults = ", ".join(small["faults"]) or "no faults"
            emit(f"also with {small['workflows']} workflows, {small['steps']} steps and {faults}:")
            emit("\n".join(failure["trace"]))
    if not result["failures"]:
        emit("everything held")
