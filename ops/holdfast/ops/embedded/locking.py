"""One process at a time: an advisory lock on a file, let go by the system when its holder dies."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.ops.errors import CommandError

POLL_S = 0.1


@contextmanager
def exclusive(path: Path, *, timeout_s: float, busy: str, cure: str) -> Iterator[None]:
    """Hold the lock on `path` (made if missing, never removed) for the length of the block.

    Raises CommandError with the sentences `busy` and `cure` if another process holds it longer than `timeout_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    give_up_at = time.monotonic() + timeout_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    raise CommandError(busy, cure=cure) from None
                time.sleep(POLL_S)
        yield
