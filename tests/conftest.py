"""Fixtures for every tier: one real broker for each process of a run, and topics of its own for each test that asks."""

import asyncio
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.ops.embedded.broker import Broker


def pytest_configure() -> None:
    """Hear Ctrl-C also in a run that a shell has put into the background: what it ignores, every child would."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: many tests wait, for outages to pass and for groups to be given up."""
    return (os.cpu_count() or 1) + 1


SLOW_TIERS = frozenset({"integration", "e2e"})


@pytest.hookimpl(trylast=True)  # behind the shuffling
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first: processes that share a run then end at about the same time."""
    items.sort(key=lambda item: SLOW_TIERS.isdisjoint(item.path.parts))


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """The shared cache, set up if it is not: jars, data template, AOT cache."""
    from holdfast.ops.settings import Settings
    from holdfast.ops.setup import set_up

    settings = Settings()
    set_up(settings.cache_dir, maven_url=settings.maven_url)
    return settings.cache_dir


@pytest.fixture(scope="session")
def broker(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker that all tests share: take `topic_prefix` or `topics`, and never stop it."""
    shared = Broker(tmp_path_factory.mktemp("broker"), cache_dir)
    shared.start()
    try:
        shared.wait_ready()
        yield shared
    finally:
        shared.stop()


@pytest.fixture
def private_broker(cache_dir: Path, tmp_path: Path) -> Iterator[Callable[[], Broker]]:
    """A function that starts a broker of the test's own, to kill, stop and start as it likes."""
    brokers: list[Broker] = []

    def start() -> Broker:
        own = Broker(tmp_path / f"broker-{len(brokers)}", cache_dir)
        brokers.append(own)
        own.start()
        own.wait_ready()
        return own

    yield start
    for own in brokers:
        own.kill()


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test has; no topic exists under it."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def partitions() -> int:
    """Partitions of the topics keyed by workflow that `topics` makes; override it by parametrizing."""
    return 4


@pytest.fixture
def topics(broker: Broker, topic_prefix: str, partitions: int) -> Iterator[str]:
    """The prefix of a complete set of topics on the shared broker; they are deleted after the test."""
    from holdfast.ops.topics import admin_client, ensure_topics
    from holdfast.schemas.topics import TOPICS

    async def delete() -> None:
        async with admin_client(broker.bootstrap) as admin:
            await admin.delete_topics([topic_prefix + topic.name for topic in TOPICS])

    asyncio.run(ensure_topics(broker.bootstrap, topic_prefix, partitions))
    yield topic_prefix
    asyncio.run(delete())
