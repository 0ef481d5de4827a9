"""What goes wrong, and when: a schedule drawn from a seed, and the hand that carries it out."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import psutil

from holdfast.ops.errors import CommandError
from holdfast.ops.supervisor import Supervisor

SESSION_TIMEOUT_MS = 6_000
FIRST_S = 3.0
GAPS_S = (1.0, 6.0)
ROLE_WAIT_S = 30.0
POLL_S = 0.05

# Roles in the order in which they get their share of the faults: the first ones are hit in small runs too.
KILLED = ("orchestrator", "broker", "executor-tool", "sink", "executor-model", "orchestrator", "executor-tool")
SUSPENDED_S: Mapping[str, float] = {
    # Longer than the group waits for them, so that their partitions are taken away meanwhile.
    "orchestrator": SESSION_TIMEOUT_MS / 1000 + 2,
    "executor-tool": SESSION_TIMEOUT_MS / 1000 + 2,
    "sink": 12.0,
    "executor-model": SESSION_TIMEOUT_MS / 1000 + 2,
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """At `at_s` seconds of the load, a role is killed (`for_s` is 0) or suspended for `for_s` seconds."""

    at_s: float
    role: str
    for_s: float = 0.0

    @property
    def kind(self) -> str:
        """What it counts as in the result."""
        return f"{'suspend' if self.for_s else 'kill'} {self.role}"

    def __str__(self) -> str:
        length = f" for {self.for_s:.0f} s" if self.for_s else ""
        return f"{self.at_s:6.1f} s  {self.kind}{length}"


# (a fault that has happened)
Heard = Callable[[Fault], None]


def schedule(seed: int, kills: int, suspensions: int) -> tuple[Fault, ...]:
    """Faults at random times, in their order; the same for the same arguments."""
    rng = random.Random(f"faults {seed}")
    suspended = list(islice(cycle(SUSPENDED_S.items()), suspensions))
    drawn = [(role, 0.0) for role in islice(cycle(KILLED), kills)] + suspended
    rng.shuffle(drawn)
    faults, at_s = [], FIRST_S
    for role, for_s in drawn:
        faults.append(Fault(at_s=round(at_s, 2), role=role, for_s=for_s))
        at_s += rng.uniform(*GAPS_S)
    return tuple(faults)


class Hand:
    """Carries out faults on the roles of a supervisor and counts them by kind."""

    def __init__(self, supervisor: Supervisor, heard: Heard) -> None:
        self.done: Counter[str] = Counter()
        self._supervisor = supervisor
        self._heard = heard

    async def carry_out(self, faults: Sequence[Fault]) -> None:
        """Every fault at its time from now on; returns when the last suspended process goes on.

        Raises an ExceptionGroup with a CommandError if a role that is to be hit does not run for half a minute.
        """
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as suspensions:
            for fault in faults:
                await asyncio.sleep(began + fault.at_s - asyncio.get_running_loop().time())
                process = await self._process(fault.role)
                if fault.for_s:
                    process.suspend()
                    suspensions.create_task(_resume(process, fault.for_s))
                else:
                    process.kill()
                self.done[fault.kind] += 1
                self._heard(fault)

    async def _process(self, role: str) -> psutil.Process:
        give_up_at = time.monotonic() + ROLE_WAIT_S
        while time.monotonic() < give_up_at:
            if (pid := self._supervisor.pid(role)) is not None:
                return psutil.Process(pid)
            await asyncio.sleep(POLL_S)
        raise CommandError(f"{role} does not run, and was not started again within {ROLE_WAIT_S:.0f} s")


async def _resume(process: psutil.Process, after_s: float) -> None:
    try:
        await asyncio.sleep(after_s)
    finally:
        # It may have been killed while it was suspended; psutil never signals a successor with the same id.
        if process.is_running():
            process.resume()
