"""`python run_orchestrator.py JSON`: an orchestrator worker as a process of its own, for tests.

JSON has OrchestratorConfig's fields; `pause_after_seek_s` makes Faust slow between seeking and going on.
"""

import asyncio
import json
import sys
from pathlib import Path

from holdfast.streams.faustkit.transport import FastConsumer
from holdfast.streams.orchestrator import OrchestratorConfig, run_worker


def pause_after_seek(seconds: float) -> None:
    seek = FastConsumer.perform_seek

    async def slow_seek(self: FastConsumer) -> None:
        await seek(self)
        await asyncio.sleep(seconds)

    FastConsumer.perform_seek = slow_seek


def main() -> int:
    options = json.loads(sys.argv[1])
    pause_after_seek(options.pop("pause_after_seek_s"))
    return run_worker(OrchestratorConfig(**{**options, "data_dir": Path(options["data_dir"])}))


if __name__ == "__main__":
    sys.exit(main())
