"""A journal that outlives a kill -9 of its process: JSON lines, on disk before anybody is told about them."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import orjson

Entry = dict[str, object]
ENTRIES_LIMIT = 200_000


class JournalFullError(Exception):
    """The journal has as many entries as it may have."""


class Journal:
    """An append-only file. Entries that are appended at the same time share one flush to disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.entries: list[Entry] = list(_read(path))
        self._file = path.open("ab")
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def append(self, entry: Entry) -> None:
        """Returns when the entry is on disk. Raises JournalFullError, and OSError if the disk refuses."""
        if len(self.entries) + len(self._waiting) >= ENTRIES_LIMIT:
            raise JournalFullError(f"the journal has {ENTRIES_LIMIT} entries")
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await written

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._write, b"".join(orjson.dumps(entry) + b"\n" for entry, _ in batch))
            except OSError as exc:
                _settle(batch, exc)
            else:
                self.entries += [entry for entry, _ in batch]
                _settle(batch, None)

    def close(self) -> None:
        """Close the file; everything that was appended is on disk already."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())


def _settle(batch: "list[tuple[Entry, asyncio.Future[None]]]", error: OSError | None) -> None:
    for _, written in batch:
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)


def _read(path: Path) -> Iterator[Entry]:
    """The entries of an earlier process; a last line that its end cut short is removed from the file."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole, _, rest = data.rpartition(b"\n")
    if rest:
        os.truncate(path, len(data) - len(rest))
    for line in whole.splitlines():
        yield orjson.loads(line)
