"""The journal of the stand-in servers: on disk first, whole lines only."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from holdfast.ops.scripted_model import journal as module
from holdfast.ops.scripted_model.journal import Entry, Journal, JournalFullError

Open = Callable[[Path], Journal]


@pytest.fixture
def opened() -> Iterator[Open]:
    journals: list[Journal] = []

    def open_(path: Path) -> Journal:
        journals.append(Journal(path))
        return journals[-1]

    yield open_
    for journal in journals:
        journal.close()


async def test_an_entry_is_on_disk_when_append_returns(opened: Open, tmp_path: Path) -> None:
    journal = opened(tmp_path / "new" / "journal")
    await asyncio.gather(*(journal.append({"n": n}) for n in range(50)))
    lines = (tmp_path / "new" / "journal").read_bytes().splitlines()
    assert [orjson.loads(line)["n"] for line in lines] == list(range(50))
    assert journal.entries == [{"n": n} for n in range(50)]


async def test_equal_entries_are_both_kept(opened: Open, tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    same: Entry = {"n": 1}
    await asyncio.gather(journal.append(same), journal.append(dict(same)))
    assert len((tmp_path / "journal").read_bytes().splitlines()) == 2


async def test_a_line_that_was_cut_short_is_dropped_and_writing_goes_on(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"n":1}\n{"n":2}\n{"n":')
    journal = opened(path)
    assert journal.entries == [{"n": 1}, {"n": 2}]
    await journal.append({"n": 3})
    assert path.read_bytes() == b'{"n":1}\n{"n":2}\n{"n":3}\n'


async def test_a_full_journal_refuses(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_LIMIT", 2)
    journal = opened(tmp_path / "journal")
    await journal.append({})
    await journal.append({})
    with pytest.raises(JournalFullError):
        await journal.append({})
