"""The broker's jars come from a lock: what is fetched is what was named, whatever happens on the way."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.ops.embedded import jars as jars_module
from holdfast.ops.embedded.jars import INCOMING, Jar, Lock, are_verified, committed_lock, ensure_jars, read_lock
from holdfast.ops.errors import CommandError

CONTENTS = {f"part{n}": f"jar number {n}".encode() * 1000 for n in range(12)}
LINES = [
    f"org.example:{name}:1.{n} {hashlib.sha256(body).hexdigest()}" for n, (name, body) in enumerate(CONTENTS.items())
]
LOCK = read_lock("\n".join(["org.example:kafka_2.13:9.9.9 " + hashlib.sha256(b"kafka").hexdigest(), *LINES]))
BODIES = CONTENTS | {"kafka_2.13": b"kafka"}


def fetch(jar: Jar, folder: Path) -> Path:
    """As the real one: into the given folder, below folders of its own."""
    path = folder / jar.group / jar.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(BODIES[jar.artifact])
    return path


def refuse(jar: Jar, _folder: Path) -> Path:
    raise AssertionError(f"{jar.filename} was fetched although it was there")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)


def test_the_committed_lock_names_a_whole_broker() -> None:
    lock = committed_lock()
    assert len(lock.jars) == 45
    assert len({jar.filename for jar in lock.jars}) == 45
    assert lock.kafka_version == "4.4.0"
    assert all(int(jar.sha256, 16) >= 0 for jar in lock.jars)


def test_a_line_that_is_not_one_is_refused() -> None:
    with pytest.raises(CommandError, match=r"is not `group:artifact:version sha256`: org\.example:a"):
        read_lock("org.example:a 12")


def test_jars_are_fetched_checked_and_given_in_the_order_of_the_lock(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    paths = ensure_jars(tmp_path, LOCK, fetch=fetch, report=lambda _what, done, total: seen.append((done, total)))
    assert [path.name for path in paths] == [jar.filename for jar in LOCK.jars]
    assert [path.read_bytes() for path in paths] == [BODIES[jar.artifact] for jar in LOCK.jars]
    assert seen == [(done, 13) for done in range(14)]
    assert not list(paths[0].parent.glob(f"{INCOMING}*"))


def test_what_was_verified_is_neither_fetched_nor_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure_jars(tmp_path, LOCK, fetch=fetch)
    monkeypatch.setattr(jars_module, "_matches", lambda *_: pytest.fail("a verified jar was hashed again"))
    assert ensure_jars(tmp_path, LOCK, fetch=refuse) == first


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"short")], ids=["lost", "cut short"])
def test_only_a_damaged_jar_is_fetched_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    paths = ensure_jars(tmp_path, LOCK, fetch=fetch)
    damage(paths[3])
    fetched: list[str] = []

    def fetch_and_note(jar: Jar, folder: Path) -> Path:
        fetched.append(jar.filename)
        return fetch(jar, folder)

    ensure_jars(tmp_path, LOCK, fetch=fetch_and_note)
    assert fetched == [paths[3].name]
    assert are_verified(paths)


def test_a_wrong_checksum_stops_with_the_name_and_leaves_no_such_jar(tmp_path: Path) -> None:
    def alter(jar: Jar, folder: Path) -> Path:
        path = fetch(jar, folder)
        if jar.artifact == "part5":
            path.write_bytes(b"something else")
        return path

    with pytest.raises(CommandError, match=r"part5-1\.5\.jar is not the file that kafka-jars\.lock names") as stop:
        ensure_jars(tmp_path, LOCK, fetch=alter)
    assert stop.value.cure
    assert not list(tmp_path.rglob("part5*"))
    assert ensure_jars(tmp_path, LOCK, fetch=fetch)


def test_an_attempt_that_broke_off_is_made_again_in_a_fresh_folder(tmp_path: Path) -> None:
    folders: list[Path] = []

    def break_off_once(jar: Jar, folder: Path) -> Path:
        if jar.artifact == "part7":
            folders.append(folder)
            if len(folders) == 1:
                path = folder / jar.group / jar.filename
                path.parent.mkdir(parents=True)
                path.write_bytes(b"half")
                raise ConnectionError("connection reset")
        return fetch(jar, folder)

    ensure_jars(tmp_path, LOCK, fetch=break_off_once)
    assert len(set(folders)) == 2


def test_a_network_that_is_away_is_a_sentence_with_a_cure(tmp_path: Path) -> None:
    def away(_jar: Jar, _folder: Path) -> Path:
        raise ConnectionError("name or service not known")

    with pytest.raises(CommandError, match=r"could not be fetched: name or service not known") as stop:
        ensure_jars(tmp_path, LOCK, fetch=away)
    assert "HTTPS_PROXY" in stop.value.cure


def test_an_interrupted_download_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    fetched: list[str] = []

    def interrupt(jar: Jar, folder: Path) -> Path:
        if jar.artifact == "part9":
            raise KeyboardInterrupt
        fetched.append(jar.filename)
        return fetch(jar, folder)

    with pytest.raises(KeyboardInterrupt):
        ensure_jars(tmp_path, LOCK, fetch=interrupt)
    (leftover,) = {path.parent for path in tmp_path.rglob("*.jar")}
    (leftover / f"{INCOMING}left-by-a-kill").mkdir()
    had = {path.name for path in tmp_path.rglob("*.jar")}

    again: list[str] = []

    def fetch_rest(jar: Jar, folder: Path) -> Path:
        again.append(jar.filename)
        return fetch(jar, folder)

    paths = ensure_jars(tmp_path, LOCK, fetch=fetch_rest)
    assert set(again) == {jar.filename for jar in LOCK.jars} - had
    assert not list(paths[0].parent.glob(f"{INCOMING}*"))


def ensure_and_note(cache: str, log: str) -> None:
    def fetch_and_note(jar: Jar, folder: Path) -> Path:
        with Path(log).open("a") as file:
            file.write(f"{jar.filename}\n")
        return fetch(jar, folder)

    ensure_jars(Path(cache), LOCK, fetch=fetch_and_note)


def test_several_processes_at_once_fetch_each_jar_once(tmp_path: Path) -> None:
    log = tmp_path / "fetched"
    program = "import runpy, sys; runpy.run_path(sys.argv[1])['ensure_and_note'](*sys.argv[2:])"
    command = [sys.executable, "-c", program, __file__, str(tmp_path), str(log)]
    workers = [subprocess.Popen(command) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0, 0]
    assert sorted(log.read_text().split()) == sorted(jar.filename for jar in LOCK.jars)


def test_another_lock_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    first = ensure_jars(tmp_path, LOCK, fetch=fetch)
    other = Lock(jars=LOCK.jars[:5], digest="another")
    second = ensure_jars(tmp_path, other, fetch=fetch)
    assert first[0].parent != second[0].parent
    shutil.rmtree(second[0].parent)
    assert are_verified(first)
