"""What a broker needs before its first start, made once and kept in the cache: jars, formatted data, AOT cache."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.ops.embedded.jars import (
    Fetch,
    Report,
    are_verified,
    cache_lock,
    committed_lock,
    ensure_jars,
    jar_paths,
    silent,
)
from holdfast.ops.embedded.java import Java, java_home
from holdfast.ops.embedded.properties import CLUSTER_ID, server_properties
from holdfast.ops.errors import CommandError

FORMAT_TIMEOUT_S = 60
AOT_CACHES_KEPT = 3


@dataclass(frozen=True)
class Kit:
    """Everything that brokers share. `aot` need not exist: the broker then starts more slowly."""

    folder: Path
    java: Java

    @property
    def template(self) -> Path:
        """A formatted data folder to copy. It names no port, so one serves every broker."""
        return self.folder / "template"

    @property
    def aot(self) -> Path:
        """The ahead-of-time cache for exactly this runtime, these flags and these jars."""
        return self.folder / f"broker-{self.java.identity()}.aot"


# Makes the AOT cache of a kit at the given path.
Train = Callable[[Kit, Path], None]


def kit_in(cache: Path) -> Kit:
    """The kit that belongs in `cache`, there or not."""
    jars = jar_paths(cache, committed_lock())
    return Kit(folder=jars[0].parent.parent, java=Java(home=java_home(), class_path=jars))


def missing_parts(cache: Path) -> list[str]:
    """What `holdfast setup` would make in `cache`, in words; empty if the kit is complete."""
    kit = kit_in(cache)
    parts = {
        "the broker's jars": are_verified(kit.java.class_path),
        "the data template": kit.template.is_dir(),
        "the AOT cache": kit.aot.is_file(),
    }
    return [name for name, is_there in parts.items() if not is_there]


def prepare(cache: Path, *, fetch: Fetch | None = None, train: Train | None = None, report: Report = silent) -> Kit:
    """The kit in `cache`, made first as far as it is missing. `train` makes the AOT cache; without it there is none.

    Safe to call from several processes at once; cheap when everything is there. Raises CommandError.
    """
    ensure_jars(cache, committed_lock(), fetch=fetch, report=report)
    kit = kit_in(cache)
    if not kit.template.is_dir():
        with cache_lock(cache):
            if not kit.template.is_dir():
                report("formatting the data template", 0, 1)
                _format(kit)
                report("formatting the data template", 1, 1)
    if train and not kit.aot.is_file():
        with cache_lock(cache):
            if not kit.aot.is_file():
                report("training the broker's start", 0, 1)
                _train(kit, train)
                report("training the broker's start", 1, 1)
    return kit


def _format(kit: Kit) -> None:
    with tempfile.TemporaryDirectory(prefix="format-", dir=kit.folder) as scratch:
        folder = Path(scratch)
        properties = folder / "server.properties"
        properties.write_text(server_properties(data=folder / "data", port=9092, controller_port=9093))
        command = kit.java.command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties))
        done = subprocess.run(command, capture_output=True, timeout=FORMAT_TIMEOUT_S, check=False)  # noqa: S603
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
            raise CommandError(f"Kafka's storage tool failed: {said}", cure="`holdfast doctor` checks the Java runtime")
        os.replace(folder / "data", kit.template)


def _train(kit: Kit, train: Train) -> None:
    # Each 70 MB. More than one, since checkouts with other Java runtimes may share this cache.
    by_age = sorted(kit.folder.glob("broker-*.aot"), key=lambda path: path.stat().st_mtime, reverse=True)
    for outdated in by_age[AOT_CACHES_KEPT - 1 :]:
        outdated.unlink()
    scratch = Path(tempfile.mkdtemp(prefix="train-", dir=kit.folder))
    try:
        train(kit, scratch / "broker.aot")
        os.replace(scratch / "broker.aot", kit.aot)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
