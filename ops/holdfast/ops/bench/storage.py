"""What a project has written: the broker's log segments by topic, and ClickHouse's parts."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from holdfast.ops.trial.sandbox import Sandbox

_PARTS = "SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = 'holdfast'"


def topic_bytes(broker_home: Path, prefix: str) -> Mapping[str, int]:
    """Bytes of the record segments of each topic, by its name without the prefix; indexes are left out."""
    sizes: Counter[str] = Counter()
    for segment in (broker_home / "data").glob("*-*/*.log"):
        topic, _, _partition = segment.parent.name.rpartition("-")
        if topic.startswith(prefix):
            sizes[topic.removeprefix(prefix)] += segment.stat().st_size
    return sizes


def stored_bytes(project: Sandbox) -> Mapping[str, int]:
    """Bytes on disk now: one entry per topic, and `clickhouse`."""
    sizes = topic_bytes(project.home / "data" / "broker", project.prefix)
    parts = project.clickhouse.query(_PARTS)
    return {**sizes, "clickhouse": int(parts[0]["bytes"])}
