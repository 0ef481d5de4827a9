"""A short rehearsal of a broker's work, recorded so that later starts need not load and link the same classes."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.embedded.kit import Kit
from holdfast.ops.errors import CommandError

STOP_TIMEOUT_S = 240.0  # the cache is written while the broker stops, about 10 s on two cores
TOPIC = "rehearsal"
BATCHES = 50
RECORD = b"x" * 600


def train(kit: Kit, aot: Path) -> None:
    """Write the AOT cache of `kit` to `aot`. Raises CommandError if the rehearsal fails or leaves no cache."""
    with TemporaryDirectory(prefix="rehearsal-", dir=kit.folder) as home:
        broker = Broker(Path(home), kit.folder.parent)
        broker.start(aot_output=aot)
        try:
            broker.wait_ready()
            asyncio.run(_rehearse(broker.bootstrap))
        finally:
            broker.stop(STOP_TIMEOUT_S)
        if not aot.is_file():
            raise CommandError(
                f"the Java runtime has written no AOT cache: {broker.tail()}", cure="run `holdfast setup` again"
            )


async def _rehearse(bootstrap: str) -> None:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 4, 1), NewTopic(f"{TOPIC}-compact", 4, 1)])
    await admin.close()
    for compression in (None, "lz4", "zstd"):
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap, enable_idempotence=True, compression_type=compression
        ) as producer:
            for batch in range(BATCHES):
                await asyncio.gather(
                    *[await producer.send(TOPIC, RECORD, key=b"%d" % n) for n in range(batch % 20 + 1)]
                )
    async with AIOKafkaConsumer(
        TOPIC, bootstrap_servers=bootstrap, group_id=TOPIC, auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        for _ in range(BATCHES):
            await consumer.getmany(timeout_ms=50)
            await consumer.commit()
