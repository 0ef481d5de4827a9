"""Making a failure small enough to read: fewer faults, workflows and steps, as long as it still fails."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from holdfast.ops.simulate.faults import Plan
from holdfast.ops.simulate.world import Result, simulate

Run = Callable[[Plan], Result]


def shrink(failed: Result, run: Run = simulate) -> Result:
    """The smallest run found that breaks the same invariant, with its trace."""
    assert failed.broken is not None
    invariant, plan = failed.broken[0], failed.plan
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(plan):
            broken = run(candidate).broken
            if broken is not None and broken[0] == invariant:
                plan, smaller = candidate, True
                break
    return simulate(plan, traced=True)


def _smaller(plan: Plan) -> Iterator[Plan]:
    if plan.workflows > 1:
        yield replace(plan, workflows=plan.workflows - 1)
    if plan.acts:
        yield replace(plan, acts=0.0)
    for kind in plan.rates:
        yield replace(plan, rates={other: rate for other, rate in plan.rates.items() if other != kind})
    if plan.workers > 1:
        yield replace(plan, workers=1)
    if plan.executors > 1:
        yield replace(plan, executors=1)
    if plan.steps > 1:
        yield replace(plan, steps=plan.steps - 1)
