"""The published definitions, kept up to date from their topic."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.definitions import DefinitionPublished
from holdfast.schemas.topics import DEFINITIONS
from holdfast.streams.core.compile import CompiledDefinition, InvalidDefinition, compile_published
from holdfast.streams.core.definition import Definition

log = logging.getLogger(__name__)
REFRESH_TIMEOUT_S = 10.0


class DefinitionReader:
    """Reads the definitions topic from its beginning and follows it.

    `by_hash` answers at once from what was read; `ensure` reads to the topic's end first if a hash is missing.
    """

    def __init__(self, bootstrap: str, topic_prefix: str) -> None:
        self._bootstrap = bootstrap
        self._partition = TopicPartition(topic_prefix + DEFINITIONS.name, 0)
        self._compiled: dict[str, CompiledDefinition] = {}
        self._newest: dict[str, str] = {}
        self._consumer: Any = None
        self._lock = asyncio.Lock()
        self.started = False

    async def start(self) -> None:
        """Connect and read to the end. Raises a Kafka error if the broker cannot be reached."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()
        self._consumer.assign([self._partition])
        await self._consumer.seek_to_beginning(self._partition)
        await self.refresh()
        self.started = True

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    def by_hash(self, definition_hash: str) -> CompiledDefinition | None:
        """The definition of that hash, if it was read."""
        return self._compiled.get(definition_hash)

    def newest(self, name: str) -> CompiledDefinition | None:
        """The definition that was published last under a name."""
        return self._compiled.get(self._newest.get(name, ""))

    async def ensure(self, hashes: Iterable[str]) -> None:
        """Read on if any of the hashes is not known yet."""
        if any(wanted and wanted not in self._compiled for wanted in hashes):
            await self.refresh()

    async def refresh(self) -> None:
        """Read to the topic's present end. Raises TimeoutError if that takes more than 10 s."""
        async with self._lock, asyncio.timeout(REFRESH_TIMEOUT_S):
            end = (await self._consumer.end_offsets([self._partition]))[self._partition]
            while await self._consumer.position(self._partition) < end:
                for records in (await self._consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self._take(record.value, record.offset)

    def _take(self, value: bytes | None, offset: int) -> None:
        if value is None:
            return
        try:
            published = cast("DefinitionPublished", decode(value).body)
            compiled = compile_published(Definition.model_validate(published.body))
        except (DecodeError, InvalidDefinition, ValueError) as exc:
            # Workflows of such a definition are refused by name; the rest goes on.
            log.error("definition at offset %s cannot be used: %s", offset, exc)
            return
        # The published hash is the identity: defaults of newer code must not change it.
        compiled.hash = published.definition_hash
        self._compiled[compiled.hash] = compiled
        self._newest[compiled.definition.name] = compiled.hash
