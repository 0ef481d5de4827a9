"""The embedded broker is a real one: it keeps what it acknowledged, whatever happens to its process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.errors import CommandError
from holdfast.ops.topics import admin_client


async def make_topic(bootstrap: str, name: str) -> None:
    async with admin_client(bootstrap) as admin:
        await admin.create_topics([NewTopic(name, 1, 1)])


async def write(bootstrap: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def read_all(bootstrap: str, topic: str) -> list[bytes | None]:
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[bytes | None] = []
        while len(found) < end:
            batch = await consumer.getmany(partition, timeout_ms=500)
            found += [record.value for records in batch.values() for record in records]
        return found


async def test_acknowledged_records_survive_a_kill_and_the_broker_keeps_its_port(
    private_broker: Callable[[], Broker],
) -> None:
    broker = private_broker()
    before = broker.bootstrap
    values = [b"%d" % n for n in range(200)]
    await make_topic(broker.bootstrap, "kept")
    await write(broker.bootstrap, "kept", values)

    broker.kill()
    assert broker.pid is None
    broker.start()
    broker.wait_ready()

    assert broker.bootstrap == before
    assert await read_all(broker.bootstrap, "kept") == values


async def test_a_clean_stop_keeps_everything_too(private_broker: Callable[[], Broker]) -> None:
    broker = private_broker()
    await make_topic(broker.bootstrap, "kept")
    await write(broker.bootstrap, "kept", [b"a", b"b"])

    broker.stop()
    assert broker.pid is None
    broker.start()
    broker.wait_ready()

    assert await read_all(broker.bootstrap, "kept") == [b"a", b"b"]


@pytest.mark.parametrize("compression", ["lz4", "zstd", "snappy", "gzip"])
async def test_native_compression_works(broker: Broker, topic_prefix: str, compression: str) -> None:
    topic = topic_prefix + "compressed"
    async with admin_client(broker.bootstrap) as admin:
        # The topic's own compression makes the broker itself compress, with the native libraries.
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"compression.type": compression})])
    await write(broker.bootstrap, topic, [b"x" * 10_000])
    assert await read_all(broker.bootstrap, topic) == [b"x" * 10_000]


async def test_topics_are_never_made_by_accident(broker: Broker, topic_prefix: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, request_timeout_ms=1500) as producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(topic_prefix + "typo", b"x")
    async with admin_client(broker.bootstrap) as admin:
        assert topic_prefix + "typo" not in await admin.list_topics()


def test_it_listens_on_loopback_only(broker: Broker) -> None:
    process = psutil.Process(broker.pid)
    listening = [c.laddr for c in process.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN]
    assert {address.port for address in listening} >= {broker.port}
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_it_starts_from_the_ahead_of_time_cache(broker: Broker) -> None:
    assert "[aot]" not in broker.tail(), "the JVM says so when it cannot use the cache"
    with Path(f"/proc/{broker.pid}/maps").open() as maps:
        assert ".aot" in maps.read()


def test_starting_twice_is_refused(broker: Broker) -> None:
    with pytest.raises(CommandError, match="runs already"):
        broker.start()


def test_a_broker_that_cannot_start_says_why(cache_dir: Path, tmp_path: Path, broker: Broker) -> None:
    squatter = Broker(tmp_path, cache_dir, port=broker.port)
    squatter.start()
    with pytest.raises(CommandError, match=r"(?s)ended while starting.*Address already in use"):
        # The port does answer (the other broker), so only the exit can tell.
        _wait_for_exit(squatter)
    squatter.kill()


def _wait_for_exit(broker: Broker) -> None:
    give_up_at = time.monotonic() + 30
    while broker.pid is not None and time.monotonic() < give_up_at:
        time.sleep(0.05)
    broker.wait_ready()


def test_a_broker_ends_with_its_parent_even_after_a_kill(cache_dir: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from holdfast.ops.embedded.broker import Broker\n"
        "b = Broker(Path(sys.argv[1]), Path(sys.argv[2])); b.start(); b.wait_ready(); print(b.pid, flush=True)\n"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(cache_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert os.getpid() != pid
