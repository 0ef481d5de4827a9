"""Records that an executor read and does not keep: for another executor, for later, or as dead letters."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from holdfast.schemas import headers
from holdfast.schemas.codec import DecodeError

STAGE = "executor"
FIRST_PARTITION = 0


class SendingOn:
    """Writes records again as they are. Every method returns once the broker has them, and raises KafkaError."""

    def __init__(self, producer: AIOKafkaProducer, dead_letters: str) -> None:
        self._producer = producer
        self._dead_letters = dead_letters

    async def to_first_partition(self, records: Sequence[ConsumerRecord]) -> None:
        """Where every limit has a part: to the first partition of their topic."""
        await self._send([(record, FIRST_PARTITION) for record in records])

    async def to_the_end(self, records: Sequence[ConsumerRecord]) -> None:
        """To the ends of their partitions."""
        await self._send([(record, record.partition) for record in records])

    async def to_dead_letters(self, record: ConsumerRecord, error: DecodeError) -> None:
        """Keep a record that nobody can read."""
        await self._producer.send_and_wait(
            self._dead_letters,
            record.value if record.value is not None else b"",
            key=record.key,
            headers=headers.dead_letter(
                list(record.headers),
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                timestamp_ms=record.timestamp,
                stage=STAGE,
                code=error.code,
                message=str(error),
            ),
        )

    async def _send(self, records: Sequence[tuple[ConsumerRecord, int]]) -> None:
        sent = [
            await self._producer.send(
                record.topic, record.value, key=record.key, partition=partition, headers=list(record.headers)
            )
            for record, partition in records
        ]
        for acknowledged in sent:
            await acknowledged
