"""The orchestrator worker: ingress, fold, correlator and timers in one Faust application.

What is done with a batch, and in which order, stands in `folding.py` and `correlator/agent.py`; here is what Faust has
to know of it.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faust
import uvloop

from holdfast.schemas import topics
from holdfast.streams.broker_wait import BROKER_WAIT_S, BrokerAway, wait_for_broker
from holdfast.streams.clock import SYSTEM_CLOCK
from holdfast.streams.correlator.agent import Correlator
from holdfast.streams.definitions import DefinitionReader
from holdfast.streams.faustkit.app import build_app
from holdfast.streams.faustkit.exit import EXIT_CANNOT_GO_ON, die
from holdfast.streams.faustkit.membership import FaustMembership
from holdfast.streams.faustkit.pulse import Pulse
from holdfast.streams.faustkit.schema import FramedSchema
from holdfast.streams.faustkit.send import DurableSender
from holdfast.streams.folding import Folding
from holdfast.streams.ingress import Admission
from holdfast.streams.recovery import read_tails

log = logging.getLogger(__name__)
BATCH_MAX = 1_000
APP_NAME = "orchestrator"
TABLE_NAME = "state"
CORRELATIONS_TABLE_NAME = "correlations"


@dataclass(frozen=True, kw_only=True)
class OrchestratorConfig:
    """What a worker needs to know.

    `bootstrap` is host:port of a broker; `partitions` the count of the topics keyed by workflow; `data_dir` a folder
    of this worker's own; `instance_id` names it within the group; `session_timeout_ms` is how long a silent worker
    keeps its partitions; `broker_wait_s` how long it waits at its start for a broker that is away.
    """

    bootstrap: str
    topic_prefix: str
    partitions: int
    data_dir: Path
    instance_id: str
    session_timeout_ms: int = 10_000
    broker_wait_s: float = BROKER_WAIT_S


class TopicMismatch(Exception):
    """A topic is not what the catalogue of topics says."""


class Orchestrator:
    """The parts of one worker, and what it does with a batch."""

    def __init__(self, config: OrchestratorConfig) -> None:
        self.config = config
        self.app = build_app(
            config.topic_prefix + APP_NAME,
            bootstrap=config.bootstrap,
            partitions=config.partitions,
            data_dir=config.data_dir,
            instance_id=config.instance_id,
            session_timeout_ms=config.session_timeout_ms,
        )
        self.state = self._new_table(TABLE_NAME)
        self.correlations = self._new_table(CORRELATIONS_TABLE_NAME)
        self.sender = DurableSender(self.app)
        self.definitions = DefinitionReader(config.bootstrap, config.topic_prefix)
        self.pulse = Pulse(config.session_timeout_ms)
        self.membership = FaustMembership(self.app)
        self.admission = Admission(self.definitions, config.topic_prefix, SYSTEM_CLOCK)
        self.folding = Folding(
            topic_prefix=config.topic_prefix,
            store=self.state.data,
            sender=self.sender,
            definitions=self.definitions,
            membership=self.membership,
            pulse=self.pulse,
            read_tails=partial(read_tails, config.bootstrap, config.topic_prefix + topics.JOURNAL.name),
            clock=SYSTEM_CLOCK,
        )
        self.correlator = Correlator(
            topic_prefix=config.topic_prefix,
            store=self.correlations.data,
            sender=self.sender,
            membership=self.membership,
            pulse=self.pulse,
            clock=SYSTEM_CLOCK,
        )

    def _new_table(self, name: str) -> Any:
        return self.app.Table(name, key_type=bytes, value_type=bytes, partitions=self.config.partitions)

    def topic(self, topic: topics.Topic) -> Any:
        """A topic to consume, decoded by our codec."""
        return self.app.topic(self.config.topic_prefix + topic.name, schema=FramedSchema())

    async def start(self) -> None:
        """Connect what Faust does not: definitions, and the metadata of every topic written to.

        Raises TopicMismatch if a topic is missing or has another number of partitions: Faust would start anyway.
        """
        for topic in topics.TOPICS:
            name, wanted = self.config.topic_prefix + topic.name, topic.partitions(self.config.partitions)
            found = await self.sender.partition_count(name)
            if found != wanted:
                raise TopicMismatch(f"topic {name} has {found} partitions, not {wanted}: see `holdfast topics check`")
        await self.definitions.start()

    async def recover(self) -> None:
        """Connect if that was not done yet, and fold the journal's tail. Runs before any batch of a generation."""
        self.membership.hold()
        if self.definitions.started is False:
            await self.start()
        await self.folding.recover()

    async def admit(self, events: Sequence[Any]) -> None:
        """Answer one micro-batch of requests."""
        await self.sender.send_all(await self.admission.admit(events))
        for event in events:
            event.ack()


def build(config: OrchestratorConfig) -> Orchestrator:
    """The worker's Faust application with its agents, recovery hook and timer task."""
    orchestrator = Orchestrator(config)
    app, correlator = orchestrator.app, orchestrator.correlator

    @app.agent(orchestrator.topic(topics.INBOX), name="fold_inbox")  # type: ignore[untyped-decorator]
    async def fold_inbox(stream: Any) -> None:
        async for events in stream.batches(BATCH_MAX):
            await _or_die(orchestrator.folding.fold(events), "folding a batch")

    @app.agent(orchestrator.topic(topics.REQUESTS), name="admit_requests")  # type: ignore[untyped-decorator]
    async def admit_requests(stream: Any) -> None:
        async for events in stream.batches(BATCH_MAX):
            await _or_die(orchestrator.admit(events), "admitting requests")

    @app.agent(orchestrator.topic(topics.CORRELATIONS), name="fold_correlations")  # type: ignore[untyped-decorator]
    async def fold_correlations(stream: Any) -> None:
        async for events in stream.batches(BATCH_MAX):
            await _or_die(correlator.fold(events), "correlating a batch")

    @orchestrator.state.on_recover  # type: ignore[untyped-decorator]
    async def recover() -> None:
        await _or_die(orchestrator.recover(), "recovering")  # Faust would log the error and start anyway

    @orchestrator.correlations.on_recover  # type: ignore[untyped-decorator]
    async def recover_correlations() -> None:
        await _or_die(correlator.recover(), "recovering the correlator")

    @app.task  # type: ignore[untyped-decorator]
    async def fire_expiries() -> None:
        await _or_die(correlator.timers.run(correlator.owned, lambda: app.should_stop), "firing expiries")

    @app.task  # type: ignore[untyped-decorator]
    async def fire_timers() -> None:
        await _or_die(
            orchestrator.folding.timers.run(orchestrator.folding.owned, lambda: app.should_stop), "firing timers"
        )

    @app.task  # type: ignore[untyped-decorator]
    async def beat() -> None:
        await _or_die(orchestrator.pulse.run(lambda: app.should_stop), "beating")

    del fold_inbox, admit_requests, fold_correlations, recover, recover_correlations, fire_expiries, fire_timers, beat
    return orchestrator


async def _or_die(work: Any, what: str) -> None:
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as exc:
        die(what, exc)


def run_worker(config: OrchestratorConfig) -> int:
    """Run until SIGTERM. Returns the process's exit code; a worker that cannot go on ends the process with 70."""
    uvloop.install()
    try:
        _wait_for_broker(config)
        config.data_dir.mkdir(parents=True, exist_ok=True)
    except (BrokerAway, OSError) as exc:
        log.critical("cannot go on: %s", exc)
        return EXIT_CANNOT_GO_ON
    orchestrator = build(config)
    worker = faust.Worker(orchestrator.app, loglevel="WARNING", redirect_stdouts=False)
    try:
        worker.execute_from_commandline()
    except SystemExit as exc:
        if exc.code:  # Faust has said why
            log.critical("cannot go on: Faust has ended this worker")
            return EXIT_CANNOT_GO_ON
    finally:
        sys.stderr.flush()
    return 0


def _wait_for_broker(config: OrchestratorConfig) -> None:
    # A loop of its own: Faust takes the thread's, which `asyncio.run` would remove.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(wait_for_broker(config.bootstrap, config.broker_wait_s))
    finally:
        loop.close()
