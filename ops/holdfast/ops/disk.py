"""Room on the disks that a project uses: how little is too little, and where it is needed."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast.ops.settings import Project

LOW_BYTES = 5 << 30
FULL_BYTES = 512 << 20
CURE = "make room: the journal is kept for ever"


@dataclass(frozen=True)
class Disk:
    """A file system that something of a project lies on: `subject` says what, `folder` where, and the room left."""

    subject: str
    folder: Path
    free_bytes: int

    def __str__(self) -> str:
        return f"{self.free_bytes / (1 << 30):.1f} GiB free at {self.folder}"

    @property
    def full(self) -> bool:
        """True if so little is left that parts of the project stop."""
        return self.free_bytes < FULL_BYTES

    @property
    def low(self) -> bool:
        """True if it will be full before long."""
        return self.free_bytes < LOW_BYTES


def disk_of(subject: str, folder: Path) -> Disk:
    """The disk of a folder that need not exist yet."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    return Disk(subject, folder, shutil.disk_usage(there).free)


def disks_of(project: Project) -> Iterator[Disk]:
    """The disk of the project's folder, then those of the roles that keep their data on another one."""
    yield disk_of("disk of the project", project.home)
    folders = sorted(project.data.iterdir()) if project.data.is_dir() else []
    for folder in folders:
        if folder.stat().st_dev != project.home.stat().st_dev:
            yield disk_of(f"disk of {folder.name}", folder)
