"""The sink: journal, refusals and dead letters from Kafka into ClickHouse, in order, and never less than once.

At least once and rows with an identity make exactly once: the offset is committed after the insert was acknowledged,
and whatever is inserted again collapses. One insert is in flight at a time; a second batch gathers meanwhile; when
that is full too, the partitions pause, but polling goes on, or the group would take the consumer for dead. A
ClickHouse that is away costs nothing but lag: the batch waits and is tried for ever.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from holdfast.projections.batch import TOPIC_NAMES, Batch
from holdfast.projections.bridge import Bridge
from holdfast.projections.embedded import DATABASE, open_embedded, prepare
from holdfast.projections.migrate import MigrationError, migrate, shipped
from holdfast.projections.patience import Patience
from holdfast.projections.readers import EmbeddedReaders, Readers, ServerReaders
from holdfast.projections.store import FatalError, Store, TransientError, open_server
from holdfast.projections.writer import Writer

log = logging.getLogger(__name__)

GROUP_ID = "holdfast-sink"
EXIT_CANNOT_GO_ON = 70
LINGER_S = 0.2
LINGER_LIMIT_S = 1.0
# An insert costs about 60 ms of CPU whatever its size: under load, waiting for more rows is what makes it cheap.
LINGER_PER_INSERT = 8
BUSY_RECORDS = 200
POLL_RECORDS = 500
IDLE_POLL_MS = 1_000
FETCH_WAIT_MS = 2_000
BUSY_POLL_MS = 50
STOP_TIMEOUT_S = 5
START_TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class SinkConfig:
    """What a sink needs to know.

    `database_dir` is the folder of the embedded database; with `clickhouse_dsn` (`http://user:password@host:8123`)
    rows go to that server instead. The bridge listens on 127.0.0.1:`bridge_port` for whoever has `bridge_token`. The
    group takes a sink for dead that was silent for `session_timeout_ms`, or did not poll for `max_poll_interval_ms`.
    """

    bootstrap: str
    topic_prefix: str
    database_dir: Path
    bridge_port: int
    bridge_token: str
    group_id: str = GROUP_ID
    instance_id: str = "sink-1"
    clickhouse_dsn: str | None = None
    session_timeout_ms: int = 10_000
    max_poll_interval_ms: int = 300_000

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics to read, with their prefix."""
        return tuple(self.topic_prefix + name for name in TOPIC_NAMES)

    @property
    def group(self) -> str:
        """The consumer group."""
        return group_of(self.topic_prefix, self.group_id)


def group_of(topic_prefix: str, group_id: str = GROUP_ID) -> str:
    """The sinks' consumer group: one per topic prefix, so that projects on one broker do not share it."""
    return topic_prefix + group_id


def run_sink(config: SinkConfig) -> int:
    """Run until SIGTERM or SIGINT. Returns 0 then, and EXIT_CANNOT_GO_ON if it could not go on."""
    from aiokafka.errors import KafkaError

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_run(config))
    except (FatalError, MigrationError, TransientError, KafkaError, OSError) as exc:
        log.critical("the sink stops: %s", exc)
        return EXIT_CANNOT_GO_ON
    return 0


async def _run(config: SinkConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store, readers = _open(config)
    # One thread: a connection serves one call at a time.
    with ThreadPoolExecutor(1, thread_name_prefix="insert") as thread:
        in_thread = _runner(thread)
        patience = Patience()
        migrated = patience.insist(lambda: in_thread(migrate, store, shipped(), DATABASE), START_TIMEOUT_S)
        applied = await _until(stop, migrated)
        if stop.is_set():
            return
        log.info("ClickHouse is ready, %d migrations applied", len(applied or ()))
        consumer = await _until(stop, _started_consumer(config))
        if consumer is None:
            return
        sink = Sink(config, consumer, lambda batch: in_thread(Writer(store, DATABASE).write, batch), patience)
        bridge = Bridge(
            readers,
            config.bridge_token,
            rebuild=lambda: sink.rebuild(lambda: in_thread(_empty, store)),
            status=patience.status,
        )
        try:
            await bridge.start(config.bridge_port)
            await sink.run(stop)
        finally:
            await consumer.stop()
            await bridge.stop()
            readers.close()
            store.close()


class Sink:
    """The loop between a consumer and ClickHouse. `write` stores a batch, or raises what Writer.write raises."""

    def __init__(
        self,
        config: SinkConfig,
        consumer: Any,
        write: Callable[[Batch], Any],
        patience: Patience,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._consumer = consumer
        self._write = write
        self._patience = patience
        self._monotonic_s = monotonic_s
        self._batch = Batch(config.topic_prefix)
        self._gathering_since = 0.0
        self._linger_s = LINGER_S
        self._insert: asyncio.Task[Batch] | None = None
        self._uncommitted: dict[Any, int] = {}
        self._rebuild: tuple[Callable[[], Any], asyncio.Future[int]] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. What was not inserted by then is read again by the next run."""
        try:
            while not stop.is_set():
                await self._poll()
                if self._insert and self._insert.done():
                    await self._settle()
                if self._rebuild and not self._insert and not self._batch.records:
                    (empty, done), self._rebuild = self._rebuild, None
                    await self._start_over(empty, done)
                if not self._insert and self._due():
                    self._begin()
            if self._insert:
                await asyncio.wait({self._insert}, timeout=STOP_TIMEOUT_S)
                if self._insert.done():
                    await self._settle()
        finally:
            if self._insert:
                self._insert.cancel()

    async def rebuild(self, empty: Callable[[], Any]) -> int:
        """Empty the tables that come from the journal and read it from its first record again.

        Returns the number of partitions that are read again. Raises RuntimeError if another sink shares the work.
        """
        if self._rebuild:
            raise RuntimeError("a rebuild is already on its way")
        done = asyncio.get_running_loop().create_future()
        self._rebuild = (empty, done)
        return int(await done)

    async def _poll(self) -> None:
        """Add what has come. Also the sign of life that the group wants, so it is never left out."""
        consumer = self._consumer
        # Pause flags do not survive a rebalance, hence again and again.
        if self._batch.full or self._rebuild:
            consumer.pause(*consumer.assignment())
        elif consumer.paused():
            consumer.resume(*consumer.paused())
        timeout_ms = BUSY_POLL_MS if self._insert or self._rebuild else IDLE_POLL_MS
        if self._batch.records:
            left_s = self._gathering_since + self._linger_s - self._monotonic_s()
            timeout_ms = min(timeout_ms, max(int(left_s * 1000), 1))
        found = await consumer.getmany(timeout_ms=timeout_ms, max_records=POLL_RECORDS)
        # Kept even while paused: a poll made only to stay alive can still return records.
        for records in found.values():
            if not self._batch.records:
                self._gathering_since = self._monotonic_s()
            self._batch.add(records)

    def _due(self) -> bool:
        waited_s = self._monotonic_s() - self._gathering_since
        return self._batch.records > 0 and (self._batch.full or bool(self._rebuild) or waited_s >= self._linger_s)

    def _begin(self) -> None:
        batch, self._batch = self._batch, Batch(self._config.topic_prefix)
        self._insert = asyncio.create_task(self._store(batch))

    async def _store(self, batch: Batch) -> Batch:
        began = self._monotonic_s()
        await self._patience.insist(lambda: self._write(batch))
        spent_s = self._monotonic_s() - began
        stretched_s = min(max(LINGER_S, LINGER_PER_INSERT * spent_s), LINGER_LIMIT_S)
        self._linger_s = stretched_s if batch.records >= BUSY_RECORDS else LINGER_S
        return batch

    async def _settle(self) -> None:
        """Commit what a finished insert stored. Raises FatalError if it could not store it."""
        from aiokafka import TopicPartition
        from aiokafka.errors import KafkaError

        assert self._insert is not None
        batch, self._insert = self._insert.result(), None
        self._uncommitted.update({TopicPartition(*place): offset for place, offset in batch.positions.items()})
        mine = {place: offset for place, offset in self._uncommitted.items() if place in self._consumer.assignment()}
        try:
            if mine:
                await self._consumer.commit(mine)
            self._uncommitted.clear()
        except KafkaError as exc:
            # The rows are stored; whoever reads these records again stores the same rows.
            log.warning("offsets were not committed, the next batch will: %r", exc)

    async def _start_over(self, empty: Callable[[], Any], done: "asyncio.Future[int]") -> None:
        consumer = self._consumer
        journal = self._config.topic_prefix + TOPIC_NAMES[0]
        everything = consumer.partitions_for_topic(journal) or set()
        mine = [place for place in consumer.assignment() if place.topic == journal]
        if len(mine) != len(everything):
            done.set_exception(RuntimeError("another sink shares the journal: stop all but one, then rebuild"))
            return
        try:
            starts = await consumer.beginning_offsets(mine)
            # In this order a crash in between only reads again what is still there.
            await consumer.commit(starts)
            await empty()
            for place, offset in starts.items():
                consumer.seek(place, offset)
            done.set_result(len(mine))
        except Exception as exc:
            done.set_exception(RuntimeError(f"the rebuild did not begin: {exc}"))


def _empty(store: Store) -> None:
    """Truncate every table that is made from journal events."""
    kept = ("schema_migrations", "request_rejections", "expired_events", "dead_letters")
    tables = store.query(
        "SELECT name FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree'"
        " AND name NOT IN {kept:Array(String)}",
        {"database": DATABASE, "kept": list(kept)},
    )
    for table in tables:
        store.command(f"TRUNCATE TABLE {DATABASE}.{table['name']}")


def _open(config: SinkConfig) -> tuple[Store, Readers]:
    if config.clickhouse_dsn:
        return open_server(config.clickhouse_dsn), ServerReaders(config.clickhouse_dsn)
    folder = prepare(config.database_dir)
    return open_embedded(folder), EmbeddedReaders(folder)


async def _started_consumer(config: SinkConfig) -> Any:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import KafkaConnectionError

    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(KafkaConnectionError),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        stop=stop_after_delay(START_TIMEOUT_S),
        reraise=True,
    ):
        with attempt:
            consumer = AIOKafkaConsumer(
                *config.topics,
                bootstrap_servers=config.bootstrap,
                group_id=config.group,
                group_instance_id=config.instance_id,
                client_id=config.instance_id,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=FETCH_WAIT_MS,
                session_timeout_ms=config.session_timeout_ms,
                heartbeat_interval_ms=min(3_000, config.session_timeout_ms // 3),
                max_poll_interval_ms=config.max_poll_interval_ms,
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
    return consumer


def _runner(thread: ThreadPoolExecutor) -> Callable[..., Any]:
    loop = asyncio.get_running_loop()
    return lambda function, *arguments: loop.run_in_executor(thread, function, *arguments)


async def _until(stop: asyncio.Event, work: Any) -> Any:
    """The result of `work`, or None if `stop` was set before it came."""
    task, stopped = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        return None
    return task.result()
