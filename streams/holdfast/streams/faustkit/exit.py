"""Leaving at once when a worker can no longer vouch for what it does."""

import logging
import os
import sys
from typing import NoReturn

log = logging.getLogger(__name__)
EXIT_CANNOT_GO_ON = 70


def die(why: str, exc: BaseException | None = None) -> NoReturn:
    """End the process: no further acknowledgement, no commit. The supervisor starts another and Kafka replays."""
    log.critical("cannot go on: %s: %r", why, exc, exc_info=exc)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(EXIT_CANNOT_GO_ON)
