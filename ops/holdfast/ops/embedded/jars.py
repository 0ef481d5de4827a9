"""The broker's jars: named by a committed lock, fetched once, checked by SHA-256, kept in the user's cache."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from holdfast.ops.embedded.locking import exclusive
from holdfast.ops.errors import CommandError

THREADS = 8
ATTEMPTS = 4
REQUEST_TIMEOUT_S = 30
LOCK_WAIT_S = 900.0
INCOMING = "incoming-"
STAMP = "verified"

# (what is being done, steps done, steps in total)
Report = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """A Report for those who do not want one."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """The name that Maven gives the file."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinate(self) -> str:
        """group:artifact:version."""
        return f"{self.group}:{self.artifact}:{self.version}"


@dataclass(frozen=True)
class Lock:
    """The jars in class path order, and the digest that names this list."""

    jars: tuple[Jar, ...]
    digest: str

    @property
    def kafka_version(self) -> str:
        """The version of the broker itself."""
        return next(jar.version for jar in self.jars if jar.artifact.startswith("kafka_"))


def read_lock(text: str) -> Lock:
    """Parse a lock. Raises CommandError if a line is not `group:artifact:version sha256`."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
    return Lock(jars=tuple(_read_line(line) for line in lines), digest=digest)


def _read_line(line: str) -> Jar:
    coordinate, _, sha256 = line.partition(" ")
    parts = coordinate.split(":")
    if len(parts) != 3 or len(sha256) != 64:
        raise CommandError(f"kafka-jars.lock has a line that is not `group:artifact:version sha256`: {line}")
    group, artifact, version = parts
    return Jar(group=group, artifact=artifact, version=version, sha256=sha256)


def committed_lock() -> Lock:
    """The lock that ships with this package."""
    return read_lock((files("holdfast.ops.embedded") / "kafka-jars.lock").read_text(encoding="utf-8"))


# Fetches one jar into a fresh folder and returns where it lies there.
Fetch = Callable[[Jar, Path], Path]


def fetch_from_maven(repository_url: str | None = None) -> Fetch:
    """A Fetch from Maven Central, or from the mirror at `repository_url`."""
    mirrors = {"central": repository_url.rstrip("/")} if repository_url else None

    def fetch(jar: Jar, folder: Path) -> Path:
        # Only jgo's Maven layer: its transitive resolution picks other versions than Maven does.
        from jgo.maven import MavenContext

        context = MavenContext(repo_cache=folder, local_repos=[], remote_repos=mirrors, timeout=REQUEST_TIMEOUT_S)
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        return Path(artifact.resolve())

    return fetch


def jar_paths(cache: Path, lock: Lock) -> tuple[Path, ...]:
    """Where the jars of `lock` belong, in class path order."""
    folder = cache / f"kafka-{lock.kafka_version}-{lock.digest}" / "jars"
    return tuple(folder / jar.filename for jar in lock.jars)


def ensure_jars(cache: Path, lock: Lock, *, fetch: Fetch | None = None, report: Report = silent) -> tuple[Path, ...]:
    """The jars of `lock` as files below `cache`, in class path order; fetched first if they are missing.

    Safe to call from several processes at once. Raises CommandError if a jar cannot be fetched or is not the one
    that the lock names.
    """
    paths = jar_paths(cache, lock)
    folder = paths[0].parent
    if are_verified(paths):
        return paths
    with cache_lock(cache):
        if not are_verified(paths):
            _fetch_missing(folder, lock.jars, fetch or fetch_from_maven(), report)
            _write_stamp(folder, paths)
    return paths


@contextmanager
def cache_lock(cache: Path) -> Iterator[None]:
    """Only one process at a time writes to the cache."""
    busy = f"another process has been writing to {cache} for {LOCK_WAIT_S / 60:.0f} minutes"
    with exclusive(cache / "lock", timeout_s=LOCK_WAIT_S, busy=busy, cure="wait for it, or end it"):
        yield


def _sizes(paths: Sequence[Path]) -> str:
    return "".join(f"{path.name} {path.stat().st_size}\n" for path in paths)


def are_verified(paths: Sequence[Path]) -> bool:
    """True if these jars have been checked against the lock once and still have their sizes."""
    # Hashing 44 MB on each start would cost more than the start: names and sizes must do once the hashes were right.
    try:
        return (paths[0].parent / STAMP).read_text(encoding="utf-8") == _sizes(paths)
    except FileNotFoundError:
        return False


def _write_stamp(folder: Path, paths: Sequence[Path]) -> None:
    fresh = folder / f"{STAMP}.new"
    fresh.write_text(_sizes(paths), encoding="utf-8")
    os.replace(fresh, folder / STAMP)


def _matches(path: Path, jar: Jar) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def _fetch_missing(folder: Path, jars: Sequence[Jar], fetch: Fetch, report: Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{INCOMING}*"):
        shutil.rmtree(leftover)
    missing = [jar for jar in jars if not _matches(folder / jar.filename, jar)]
    what = f"fetching {len(jars)} jars"
    report(what, len(jars) - len(missing), len(jars))
    with tempfile.TemporaryDirectory(prefix=INCOMING, dir=folder) as incoming, ThreadPoolExecutor(THREADS) as pool:
        work = pool.map(lambda jar: _fetch_one(jar, folder, Path(incoming), fetch), missing)
        try:
            for done, _ in enumerate(work, start=len(jars) - len(missing) + 1):
                report(what, done, len(jars))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(jar: Jar, folder: Path, incoming: Path, fetch: Fetch) -> None:
    import tenacity

    attempts = iter(range(ATTEMPTS))

    def once() -> Path:
        # A fresh folder for each attempt: what a broken download left behind must never be taken for the jar.
        return fetch(jar, incoming / f"{jar.sha256}-{next(attempts)}")

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=8),
        reraise=True,
    )
    try:
        path = retrying(once)
    except Exception as exc:
        raise CommandError(
            f"{jar.coordinate} could not be fetched: {exc}",
            cure="check the network (HTTPS_PROXY names a proxy, HOLDFAST_MAVEN_URL a mirror), then run it again",
        ) from exc
    if not _matches(path, jar):
        raise CommandError(
            f"{jar.filename} is not the file that kafka-jars.lock names: its SHA-256 differs",
            cure="run it again; if it stays so, the mirror or proxy between here and Maven Central alters files",
        )
    os.replace(path, folder / jar.filename)
