"""How long events take to become rows, counted from two moments.

From the inbox: since the broker appended the input that an event came from, so waiting for the fold is part of it.
From the journal: since the orchestrator handed the event itself to its producer.
"""

from datetime import UTC, datetime

from holdfast.ops.trial.reading import whole
from holdfast.ops.trial.sandbox import Sandbox
from holdfast.schemas.topics import JOURNAL

_INGESTED = """
SELECT kafka_partition AS partition, kafka_offset AS offset,
       toUnixTimestamp64Milli(recorded_at) AS recorded_ms, toUnixTimestamp64Milli(ingested_at) AS ingested_ms
FROM holdfast.events_by_time
WHERE topic = {topic:String} AND recorded_at >= {since:DateTime64(3)}
"""


async def rows_lag_ms(project: Sandbox, since_s: float) -> tuple[list[float], list[float]]:
    """The times of every event since then, in ms: from the inbox, and from the journal. Raises what clients raise."""
    topic = project.prefix + JOURNAL.name
    since = datetime.fromtimestamp(since_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    appended = {(r.partition, r.offset): r.timestamp async for r in whole(project.bootstrap, topic)}
    rows = project.clickhouse.query(_INGESTED, {"topic": topic, "since": since})
    places = [(int(row["partition"]), int(row["offset"])) for row in rows]
    ingested = [float(row["ingested_ms"]) for row in rows]
    from_inbox = [at - float(row["recorded_ms"]) for at, row in zip(ingested, rows, strict=True)]
    from_journal = [at - appended[place] for at, place in zip(ingested, places, strict=True)]
    return from_inbox, from_journal
