"""The executor process: composition, signals, exit codes.

0 after a SIGTERM or SIGINT; 70 if it cannot go on, so that whoever started it starts it again.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import uvloop

from holdfast.schemas import topics
from holdfast.streams.broker_wait import wait_for_broker
from holdfast.streams.clock import SYSTEM_CLOCK
from holdfast.streams.executor import clients
from holdfast.streams.executor.calls import Calls
from holdfast.streams.executor.clients import From
from holdfast.streams.executor.config import ExecutorConfig, ModelEndpoint
from holdfast.streams.executor.item_calls import ItemCalls
from holdfast.streams.executor.limits import LAST_RESORT_S
from holdfast.streams.executor.model_calls import ModelCalls
from holdfast.streams.executor.searches import Search
from holdfast.streams.executor.serving import Serving, cancelled
from holdfast.streams.executor.threads import Threads
from holdfast.streams.executor.tool_calls import ToolCalls
from holdfast.streams.executor.tool_searches import ToolSearches
from holdfast.tools import ToolRegistry
from holdfast.tools.content import ContentStore

_log = logging.getLogger(__name__)

_NEWS = ((topics.GRANTS, From.END), (topics.CONTROLS, From.BEGINNING), (topics.QUEUES, From.LATELY))
"""What executors read beside their tasks, and where they begin."""

EXIT_DONE = 0
EXIT_CANNOT_GO_ON = 70


class Shutdown:
    """The end of a process: asked for by a signal, or begun by a failure, and then certain within `limit_s`.

    A call that ignores its cancellation, or a broker that does not answer, must not keep a process alive.
    """

    def __init__(self, limit_s: float) -> None:
        self.begun = asyncio.Event()
        self._timer = threading.Timer(limit_s, self._end)
        self._timer.daemon = True
        self._limit_s = limit_s

    def begin(self) -> None:
        """Begin to stop; the second time has no effect."""
        if not self.begun.is_set():
            self.begun.set()
            self._timer.start()

    def over(self) -> None:
        """Everything has stopped by itself."""
        self._timer.cancel()

    def _end(self) -> None:
        _log.critical("the executor did not stop within %.0f s", self._limit_s)
        logging.shutdown()
        os._exit(EXIT_CANNOT_GO_ON)


def run_tool_executor(config: ExecutorConfig, registry: ToolRegistry, contents: ContentStore) -> int:
    """Make tool calls, and the engine's own on `contents`, until SIGTERM or SIGINT.

    Returns the exit code of the process; call it on the main thread.
    """

    async def serve(shutdown: Shutdown) -> None:
        threads = Threads()
        search = ToolSearches(registry, threads, SYSTEM_CLOCK).search
        await _serve(config, ToolCalls(registry, threads, ItemCalls(contents)), shutdown, search)

    return _run(config, serve)


def run_model_executor(config: ExecutorConfig, endpoint: ModelEndpoint) -> int:
    """Make model calls until SIGTERM or SIGINT. Returns the exit code of the process; call it on the main thread."""

    async def serve(shutdown: Shutdown) -> None:
        async with ModelCalls(endpoint) as calls:
            await _serve(config, calls, shutdown)

    return _run(config, serve)


def _run(config: ExecutorConfig, serve: Callable[[Shutdown], Coroutine[Any, Any, None]]) -> int:
    shutdown = Shutdown(config.grace_ms / 1000 + LAST_RESORT_S)

    async def main() -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, shutdown.begin)
        try:
            await serve(shutdown)
        except Exception as exc:
            for cause in _leaves(exc):
                _log.critical("%s cannot go on: %r", config.executor_id, cause, exc_info=cause)
            return EXIT_CANNOT_GO_ON
        return EXIT_DONE

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    finally:
        shutdown.over()


async def _serve(
    config: ExecutorConfig,
    calls: Calls,
    shutdown: Shutdown,
    search: Search | None = None,
) -> None:
    def name(topic: topics.Topic) -> str:
        return config.topic_prefix + topic.name

    bootstrap, executor_id = config.bootstrap, config.executor_id
    needed = (calls.topic, topics.INBOX, topics.DEAD_LETTERS, *(topic for topic, _ in _NEWS))
    if not await _broker_answers(config, shutdown):
        return
    await clients.check_topics(bootstrap, [name(topic) for topic in needed])
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(clients.producer(bootstrap, executor_id))
        loops = await stack.enter_async_context(asyncio.TaskGroup())
        told = clients.news_consumer(
            {name(topic): where for topic, where in _NEWS}, bootstrap=bootstrap, client_id=executor_id
        )
        news, ends = await stack.enter_async_context(told)  # before any claim, so that no grant is missed
        group_id = config.topic_prefix + calls.group
        serving = Serving(
            config,
            calls,
            producer=producer,
            news=news,
            search=search,
            replaced=partial(
                clients.replaced_by_twin, bootstrap=bootstrap, group_id=group_id, instance_id=config.instance_id
            ),
            spawn=loops.create_task,
        )
        await serving.catch_up(ends)
        await stack.enter_async_context(
            clients.group_consumer(
                name(calls.topic),
                bootstrap=bootstrap,
                group_id=group_id,
                client_id=executor_id,
                instance_id=config.instance_id,
                session_timeout_ms=config.session_timeout_ms,
                listener=serving.intake,
            )
        )
        _log.info("%s takes tasks from %s with %d slots", executor_id, name(calls.topic), config.slots)
        try:
            await serving.run(shutdown.begun)
        except asyncio.CancelledError:  # one of the loops has failed
            shutdown.begin()
            raise


async def _broker_answers(config: ExecutorConfig, shutdown: Shutdown) -> bool:
    """True once the broker works, False if the process is to stop before. Raises BrokerAway."""
    waiting = asyncio.ensure_future(wait_for_broker(config.bootstrap, config.broker_wait_s))
    stopping = asyncio.ensure_future(shutdown.begun.wait())
    await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        await cancelled(waiting)
        return False
    stopping.cancel()
    waiting.result()
    return True


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
