"""What goes wrong, how often, and when: drawn from the seed, one stream of chance for each kind.

A stream of its own for each kind means that a plan with fewer kinds leaves the others as they were, which is what makes
a failure small enough to read.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

RATES: Mapping[str, tuple[float, float]] = {
    # at each send of an orchestrator, an executor and the sink
    "orchestrator killed before an append": (0.002, 0.02),
    "orchestrator killed between appends": (0.004, 0.05),
    "orchestrator killed after an append": (0.002, 0.03),
    "executor killed before an append": (0.005, 0.04),
    "executor killed after an append": (0.005, 0.04),
    "executor killed before the effect": (0.01, 0.08),
    "executor killed after the effect": (0.01, 0.08),
    "executor stopped": (0.005, 0.04),
    "sink killed before the insert": (0.02, 0.1),
    "sink killed between insert and commit": (0.02, 0.1),
    "rebalance": (0.01, 0.04),
    "process suspended": (0.004, 0.02),
    "append delayed": (0.005, 0.05),
    "append delayed beyond a session": (0.001, 0.006),
    "commit lost": (0.05, 0.3),
    "request sent twice": (0.05, 0.3),
    "timer lost": (0.05, 0.4),
    "timer repeated": (0.05, 0.4),
    "worker's clock jumps": (0.01, 0.05),
    "broker's clock jumps ahead": (0.004, 0.02),
    "broker's clock jumps back": (0.004, 0.02),
    # at each call of a tool, a lookup or the model
    "tool fails": (0.05, 0.4),
    "tool leaves its outcome unknown": (0.05, 0.3),
    "tool takes too long": (0.02, 0.15),
    "tool returns nonsense": (0.02, 0.1),
    "lookup fails": (0.2, 0.7),
    "model is rate limited": (0.03, 0.2),
    "model fails": (0.03, 0.2),
    "model takes too long": (0.01, 0.1),
    "model answers nonsense": (0.05, 0.3),
    "model asks for a wrong tool": (0.03, 0.2),
}
"""Every kind of fault with its least and its highest rate: how likely it is at each occasion, in runs that have it."""

SHARE = 0.45
"""How many of the kinds a run has."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run: the seed, how many workflows of how many steps, and the kinds of faults with their rates."""

    seed: int
    workflows: int
    steps: int
    rates: Mapping[str, float] = field(default_factory=dict)
    acts: float = 1.0
    """How busy operators are, from 0."""
    workers: int = 1
    """How many orchestrators there are."""
    executors: int = 1
    """How many tool executors there are."""

    @classmethod
    def of(cls, seed: int) -> "Plan":
        """The plan that belongs to a seed."""
        rng = random.Random(f"plan/{seed}")
        rates = {}
        for kind, (low, high) in RATES.items():
            wanted, rate = rng.random() < SHARE, rng.uniform(low, high)
            if wanted:
                rates[kind] = rate
        return cls(
            seed=seed,
            workflows=rng.choice((1, 2, 2, 3, 4)),
            steps=rng.randint(2, 9),
            rates=rates,
            acts=rng.choice((0.0, 0.5, 1.0)),
            workers=rng.choice((1, 2)),
            executors=rng.choice((1, 2)),
        )


class Faults:
    """Says what goes wrong now, and counts it. After `end` nothing does."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.counts: Counter[str] = Counter()
        self.over = False
        self._streams: dict[str, random.Random] = {}

    def stream(self, name: str) -> random.Random:
        """A stream of chance of its own, equal for equal seeds and names."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = random.Random(f"{self.plan.seed}/{name}")
        return stream

    def happens(self, kind: str) -> bool:
        """True if a fault of that kind happens now."""
        rate = self.plan.rates.get(kind, 0.0)
        if not rate or self.over or self.stream(kind).random() >= rate:
            return False
        self.counts[kind] += 1
        return True
