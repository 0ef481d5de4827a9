"""Many runs, on all cores, and what they came to together. The result does not depend on how many cores there are."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.ops.simulate.faults import Plan
from holdfast.ops.simulate.world import Result, simulate

CHUNK = 10


@dataclass(kw_only=True)
class Total:
    """What many runs came to; `failures` are the results of those in which something did not hold."""

    runs: int = 0
    steps: int = 0
    workflows: int = 0
    invariant_checks: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failures: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one more run."""
        self.runs += 1
        self.steps += result.steps
        self.workflows += result.workflows
        self.invariant_checks += result.checks
        self.faults.update(result.faults)
        if result.broken is not None:
            self.failures.append(result)


def simulate_all(
    seeds: Sequence[int], jobs: int, report: Callable[[int, int], None] = lambda _done, _total: None
) -> Total:
    """Make one run for each seed. `report` is told how many are done."""
    total = Total()
    for result in _results(seeds, jobs):
        total.add(result)
        report(total.runs, len(seeds))
    return total


def _results(seeds: Sequence[int], jobs: int) -> Iterator[Result]:
    if jobs <= 1 or len(seeds) <= CHUNK:
        yield from map(_run, seeds)
        return
    context: Any = multiprocessing.get_context("spawn")
    with context.Pool(jobs) as pool:
        yield from pool.imap(_run, seeds, CHUNK)


def _run(seed: int) -> Result:
    return simulate(Plan.of(seed))
