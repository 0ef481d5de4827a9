"""Everything embedded that is made once: `holdfast setup`."""

from pathlib import Path

from holdfast.ops.embedded.jars import Report, fetch_from_maven, silent
from holdfast.ops.embedded.kit import Kit, prepare


def set_up(cache: Path, *, maven_url: str | None = None, report: Report = silent) -> Kit:
    """Fetch, format and train what is missing below `cache`; cheap when nothing is. Raises CommandError."""
    from holdfast.ops.embedded.training import train

    return prepare(cache, fetch=fetch_from_maven(maven_url), train=train, report=report)
