"""One run: everything put together, driven to its end, and looked at."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from holdfast.ops.simulate.broker import Broker, Group, Record, places
from holdfast.ops.simulate.ending import check_ending
from holdfast.ops.simulate.executors import ExecutorProcess, SinkProcess, Tables
from holdfast.ops.simulate.faults import Faults, Plan
from holdfast.ops.simulate.generated import library
from holdfast.ops.simulate.invariants import Broken, Checker
from holdfast.ops.simulate.loop import VirtualLoop
from holdfast.ops.simulate.models import ModelServer, SimulatedModelCalls
from holdfast.ops.simulate.people import People
from holdfast.ops.simulate.processes import Process, ProcessEnded
from holdfast.ops.simulate.target import REGISTRY, TARGET, Effect, Target
from holdfast.ops.simulate.trace import Trace
from holdfast.ops.simulate.workers import Library, OrchestratorProcess
from holdfast.projections.batch import TOPIC_NAMES
from holdfast.schemas import topics
from holdfast.streams.executor.calls import Calls
from holdfast.streams.executor.item_calls import ItemCalls
from holdfast.streams.executor.searches import Search
from holdfast.streams.executor.threads import Threads
from holdfast.streams.executor.tool_calls import ToolCalls
from holdfast.streams.executor.tool_searches import ToolSearches
from holdfast.tools.content import ContentStore

PARTITIONS = 2
TROUBLE_S = 60.0
"""How long things go wrong; then everybody helps every workflow to its end."""
LIMIT_S = 1_500.0
"""Within this time every workflow has to end: far longer than the limits of the generated definitions allow."""
QUIET_LOOKS = 4
LOOK_EVERY_S = 1.0
_INPUTS = (topics.INBOX.name, topics.REQUESTS.name, topics.CORRELATIONS.name)
_NO_ITEMS = ItemCalls(ContentStore("memory:///"))  # no generated map is over content: its calls run in real threads
_READ = PARTITIONS * (len(_INPUTS) + len(TOPIC_NAMES))
RESTART_S = (0.3, 6.0)
SUSPENSION_S = (0.5, 25.0)
JUMP_MS = (500, 90_000)
STEP_BACK_MS = (10, 3_000)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run came to. `broken` is None if everything held, else the invariant and a sentence."""

    plan: Plan
    steps: int
    checks: int
    faults: Mapping[str, int]
    workflows: int
    terminated: int
    virtual_s: float
    broken: tuple[str, str] | None
    trace: tuple[str, ...] = ()


@dataclass
class _Made:
    """Processes by name, and how to make the next life of each."""

    lives: dict[str, int] = field(default_factory=dict)
    running: dict[str, Any] = field(default_factory=dict)


class World:
    """Everything of one run."""

    def __init__(self, plan: Plan, trace: Trace) -> None:
        self.faults = Faults(plan)
        self.loop = VirtualLoop()  # type: ignore[abstract]
        self.trace = trace
        trace.clock = self.loop.time
        self.broken: Broken | None = None
        self.definitions = library(plan.seed, plan.steps)
        self.broker = Broker(self.loop, PARTITIONS, self._appended)
        self.people = People(self.broker, self.faults, self.definitions)
        self.checker = Checker(self.people.hear)
        self.people.shadows = self.checker.shadows
        self.target = Target(self.faults, watch=self._happened)
        self.models = ModelServer(self.faults)
        self.loop.provide(TARGET, self.target)
        self.tables = Tables()
        self._library = Library(self.definitions)
        self._random = self.faults.stream("world")
        self._made = _Made()
        self._quiet = 0
        self._seen_steps = 0
        groups = {name: Group(self.broker, name, self.faults) for name in ("orchestrator", "tool", "model", "sink")}
        self.groups = groups
        self._makers: dict[str, Callable[[str, int], Any]] = {
            **{f"orchestrator-{n + 1}": self._orchestrator for n in range(plan.workers)},
            **{f"tools-{n + 1}": self._tools for n in range(plan.executors)},
            "models-1": self._model,
            "sink-1": self._sink,
        }

    def run(self) -> Result:
        """Run to the end. Never raises: what went wrong stands in the result."""
        try:
            self._guarded(self.begin)()
            self.loop.run(LIMIT_S)
            if self.broken is None:
                self._end()
        except Broken as found:
            self._break(found)
        finally:
            self.loop.close()
        broken = self.broken
        return Result(
            plan=self.faults.plan,
            steps=self.checker.steps,
            checks=self.checker.checks,
            faults=dict(sorted(self.faults.counts.items())),
            workflows=len(self.checker.shadows),
            terminated=self.people.terminated,
            virtual_s=self.loop.time(),
            broken=(broken.invariant, broken.sentence) if broken is not None else None,
            trace=tuple(self.trace.lines),
        )

    def begin(self) -> None:
        """Start the processes and everything around them."""
        for name in self._makers:
            self._start(name)
        self.people.begin()
        self.loop.outside(LOOK_EVERY_S, self._trouble)
        self.loop.outside(LOOK_EVERY_S, self._look)
        self.loop.outside(TROUBLE_S, self._calm)

    def _start(self, name: str) -> None:
        life = self._made.lives[name] = self._made.lives.get(name, 0) + 1
        process = self._made.running[name] = self._makers[name](name, life)
        process.ended = lambda: self._ended(process)
        process.start()

    def _ended(self, process: Process) -> None:
        if process.failure is not None:
            self._break(Broken("process", f"{process.name} ended by an error: {process.failure!r}"))
        self.loop.outside(self._random.uniform(*RESTART_S), self._start, process.name)

    def _trouble(self) -> None:
        """Once a second: what happens to processes from outside."""
        happens, rng = self.faults.happens, self._random
        if happens("rebalance"):
            self.groups[rng.choice(sorted(self.groups))].rebalance()
        for name, process in self._made.running.items():
            if process.alive and happens("process suspended"):
                process.suspend(rng.uniform(*SUSPENSION_S))
            if process.alive and happens("worker's clock jumps"):
                process.skew_ms = rng.choice((-1, 1)) * rng.randint(*JUMP_MS)
                self.trace.tell(f"the clock of {name} is off by {process.skew_ms} ms")
            if isinstance(process, ExecutorProcess) and process.alive and happens("executor stopped"):
                process.stop()
        if happens("broker's clock jumps ahead"):
            self._jump(rng.randint(*JUMP_MS))
        if happens("broker's clock jumps back"):
            self._jump(-rng.randint(*STEP_BACK_MS))
        if not self.faults.over:
            self.loop.outside(LOOK_EVERY_S, self._trouble)

    def _jump(self, by_ms: int) -> None:
        self.broker.ahead_ms += by_ms
        self.trace.tell(f"the broker's clock jumps by {by_ms} ms")

    def _calm(self) -> None:
        """Nothing goes wrong any more, and clocks are right again."""
        if self.faults.over:
            return
        self.faults.over = True
        self.trace.tell("from now on nothing goes wrong")
        for process in self._made.running.values():
            process.skew_ms = self.broker.ahead_ms
        self.people.help()

    def _look(self) -> None:
        """Once every workflow has ended and nothing has happened for a while, end the trouble, and then the run."""
        shadows = self.checker.shadows.values()
        ended = len(shadows) >= self.faults.plan.workflows and all(shadow.live.finished for shadow in shadows)
        up = all(process.alive and not process.suspended for process in self._made.running.values())
        idle = up and self.checker.steps == self._seen_steps and self._all_read()
        self._seen_steps = self.checker.steps
        self._quiet = self._quiet + 1 if ended and idle else 0
        if self._quiet >= QUIET_LOOKS:
            if self.faults.over:
                self.loop.stop()
                return
            self._calm()
            self._quiet = 0
        self.loop.outside(LOOK_EVERY_S, self._look)

    def _all_read(self) -> bool:
        """True if the orchestrators have acknowledged everything, and the sink has read it."""
        read = {place: self.broker.position("orchestrator", place) for place in places(_INPUTS, range(PARTITIONS))}
        read |= self._made.running["sink-1"].consumer.positions()
        return len(read) == _READ and all(position == len(self.broker.log(*at)) for at, position in read.items())

    def _end(self) -> None:
        problem = next((p for p in self.loop.problems if not isinstance(p["exception"], ProcessEnded)), None)
        if problem is not None:
            raise Broken("process", f"an error nobody looked at: {problem.get('exception')!r}")
        definitions = {definition.hash: definition for definition in self.definitions}
        work = check_ending(self.checker, self.broker, self.tables, self.target, self.models, definitions)
        try:
            while True:
                work.send(None)
        except StopIteration:
            return

    def _appended(self, record: Record) -> None:
        self.trace.record(record)
        self._guarded(self.checker.appended)(record)

    def _happened(self, effect: Effect) -> None:
        self.trace.tell(f"{effect.process} acts: {effect.tool} for {effect.effect_key}#{effect.attempt}")
        self._guarded(self.checker.happened)(effect)

    def _guarded(self, check: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            try:
                check(*arguments)
            except Broken as broken:
                self._break(broken)

        return call

    def _break(self, broken: Broken) -> None:
        if self.broken is None:
            self.broken = broken
            self.trace.tell(f"BROKEN {broken}")
        self.loop.stop()

    # --- how processes are made ---

    def _orchestrator(self, name: str, life: int) -> OrchestratorProcess:
        return OrchestratorProcess(
            name, life, self.broker, self.faults, self.trace.tell, group=self.groups["orchestrator"],
            library=self._library,
        )  # fmt: skip

    def _tools(self, name: str, life: int) -> ExecutorProcess:
        threads = Threads()
        return self._executor(
            name,
            life,
            self.groups["tool"],
            ToolCalls(REGISTRY, threads, _NO_ITEMS),
            lambda process: ToolSearches(REGISTRY, threads, process).search,
        )

    def _model(self, name: str, life: int) -> ExecutorProcess:
        return self._executor(name, life, self.groups["model"], SimulatedModelCalls(self.models), None)

    def _executor(
        self, name: str, life: int, group: Group, calls: Calls, search: Callable[[Process], Search] | None
    ) -> ExecutorProcess:
        slots = self._random.randint(1, 4)
        return ExecutorProcess(
            name, life, self.broker, self.faults, self.trace.tell, group=group, calls=calls, search=search, slots=slots
        )

    def _sink(self, name: str, life: int) -> SinkProcess:
        return SinkProcess(
            name, life, self.broker, self.faults, self.trace.tell, group=self.groups["sink"], tables=self.tables
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the parts log to themselves: it belongs to processes that are made to fail.

    So do coroutines that nobody awaits: a process that ends itself before an append never makes it.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        logging.disable(before)


def simulate(plan: Plan, *, traced: bool = False) -> Result:
    """Make one run."""
    with quiet():
        return World(plan, Trace(traced)).run()
