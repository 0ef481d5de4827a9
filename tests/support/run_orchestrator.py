"""`python run_orchestrator.py JSON`: an orchestrator worker as a process of its own, for tests.

JSON has OrchestratorConfig's fields; `pause_after_seek_s` makes Faust wait after seeking, so long or until a message
waits to be taken; without `commits` no offset is ever committed, as if every kill came before the first one; without
`coordinator` the cluster names no broker that could coordinate the group.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient

from holdfast.streams.faustkit.transport import FastConsumer
from holdfast.streams.orchestrator import OrchestratorConfig, run_worker


def pause_after_seek(seconds: float) -> None:
    seek: Any = FastConsumer.perform_seek

    async def slow_seek(self: Any) -> None:
        await seek(self)
        give_up_at = time.monotonic() + seconds
        queues = self.app.flow_control._queues
        while time.monotonic() < give_up_at and all(queue.empty() for queue in queues):  # noqa: ASYNC110
            await asyncio.sleep(0)

    FastConsumer.perform_seek = slow_seek  # type: ignore[method-assign]


def commit_nothing() -> None:
    async def commit(*_details: Any, **_more: Any) -> bool:
        return False

    FastConsumer.commit = commit  # type: ignore[method-assign]


def find_no_coordinator() -> None:
    async def look_up(*_details: Any) -> int:
        # What the client does while a broker that has just come back names no node of its cluster.
        raise AssertionError("Did we not perform bootstrap?")

    AIOKafkaClient.coordinator_lookup = look_up


def main() -> int:
    options = json.loads(sys.argv[1])
    pause_after_seek(options.pop("pause_after_seek_s"))
    if not options.pop("commits"):
        commit_nothing()
    if not options.pop("coordinator"):
        find_no_coordinator()
    return run_worker(OrchestratorConfig(**{**options, "data_dir": Path(options["data_dir"])}))


if __name__ == "__main__":
    sys.exit(main())
