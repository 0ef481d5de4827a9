"""What the correlator holds, read from its changelog by somebody else."""

from collections.abc import AsyncIterator
from typing import Any

from holdfast.schemas.topics import CORRELATOR_CHANGELOG
from holdfast.streams.core.correlator.entries import Published, Subscription
from holdfast.streams.correlator.rows import RowKey, load_entry, read_key
from holdfast.streams.reading import all_records
from holdfast.streams.row_store import RowStore


async def read_entries(bootstrap: str, topic_prefix: str) -> dict[RowKey, Subscription | Published]:
    """Every open subscription and every event that is remembered, in the order in which they came.

    Raises Kafka errors, and DecodeError if a row cannot be read.
    """
    return await entries_of(all_records(bootstrap, topic_prefix + CORRELATOR_CHANGELOG.name))


async def entries_of(changelog: AsyncIterator[Any]) -> dict[RowKey, Subscription | Published]:
    """The same, of a changelog's records. Raises what reading them raises, and DecodeError."""
    store = RowStore()
    async for record in changelog:
        store.take(record.key, record.value, record.partition)
    entries = {key: load_entry(key, value) for key, value in ((read_key(k), v) for k, v in store.data.items())}
    return dict(sorted(entries.items(), key=lambda entry: entry[1].place))
