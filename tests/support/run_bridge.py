"""`python run_bridge.py FOLDER PORT TOKEN`: a bridge before an embedded ClickHouse with three workflows in it."""

import asyncio
import sys
from pathlib import Path

from holdfast.projections.bridge import Bridge
from holdfast.projections.embedded import DATABASE, open_embedded, prepare
from holdfast.projections.migrate import migrate, shipped
from holdfast.projections.readers import EmbeddedReaders
from holdfast.projections.rows import EVENT_COLUMNS, Place, event_row

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.journal_builder import interleaved, support_ticket


async def main(folder: Path, port: int, token: str) -> None:
    prepared = prepare(folder)
    store = open_embedded(prepared)
    migrate(store, shipped(), DATABASE)
    messages = interleaved([support_ticket(f"wf-{number}") for number in range(3)])
    rows = [
        event_row(message, Place(topic="holdfast.journal", partition=0, offset=offset))[0]
        for offset, message in enumerate(messages)
    ]
    store.insert(f"{DATABASE}.events", EVENT_COLUMNS, rows)

    async def rebuild() -> int:
        raise RuntimeError("another sink shares the journal")

    await Bridge(EmbeddedReaders(prepared), token, rebuild=rebuild, status=lambda: None).start(port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
