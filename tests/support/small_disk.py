"""A disk that can be full: a small file system of a test's own, so that ENOSPC is the kernel's."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of `size_bytes` at `path`, for at most `files` files (0: any number).

    Skips the test where nothing may be mounted.
    """

    def __init__(self, path: Path, size_bytes: int, files: int = 0) -> None:
        self.path = path
        self._files = files
        path.mkdir(parents=True, exist_ok=True)
        if sys.platform != "linux" or os.geteuid() != 0:
            pytest.skip("a full disk needs a mount of the test's own, which only root may make, on Linux")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},nr_inodes={files},mode=700", "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"a full disk needs a mount of the test's own, and mounts are refused: {done.stderr.strip()}")

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Use up everything but `leave_bytes`, and the number of files if it has a limit."""
        with suppress(OSError):  # which is what it is for
            with (self.path / "ballast").open("ab", buffering=0) as ballast:
                while self.free_bytes > leave_bytes:
                    ballast.write(bytes(min(self.free_bytes - leave_bytes, 1 << 20)))
            for number in range(self._files):
                (self.path / f"ballast-{number}").touch()

    def make_room(self) -> None:
        """Give back what `fill` has used up."""
        for file in self.path.glob("ballast*"):
            file.unlink()

    def unmount(self) -> None:
        # Lazily: a process that a failed test left behind may still be ending.
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
