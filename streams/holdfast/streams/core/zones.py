"""Time zones from the pinned `tzdata` package, and the moments at which their clocks show a time.

The machine's own zone files are never looked at: with other rules, two workers would decide differently. A zone is
read from the package once per process, like a module.

Clocks that are put forward skip local times (a gap), clocks that are put back show local times twice (a fold). Both
can be of any length, 30 minutes on Lord Howe Island, and lie at midnight, as in Cairo. Moments are ms since 1970;
local times are datetimes without a zone.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from importlib import resources
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


@cache
def zone_names() -> frozenset[str]:
    """The names of all zones, such as `Europe/Paris` and `UTC`."""
    # `Factory` stands for a machine that nobody has configured.
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()) - {"Factory"}


@cache
def load_zone(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises ValueError if there is none, with those that end like it."""
    if name not in zone_names():
        similar = sorted(known for known in zone_names() if _place(known) == _place(name))
        raise ValueError(
            f"{name!r} is not a time zone: write an IANA name such as {' or '.join(similar) or 'Europe/Paris'}"
        )
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_time(ms: int, zone: tzinfo) -> datetime:
    """What the clocks of a zone show at a moment."""
    return (_EPOCH + ms * _MS).astimezone(zone).replace(tzinfo=None, fold=0)


def moments(local: datetime, zone: tzinfo) -> tuple[int, ...]:
    """Every moment at which the clocks of a zone show `local`, in order: none in a gap, two in a fold, else one."""
    before, after = (_moment(local, zone, fold) for fold in (0, 1))
    if before == after:
        return (before,)
    return (before, after) if before < after else ()


def first_moment(local: datetime, zone: tzinfo) -> int:
    """The first moment at which the clocks of a zone show `local`; in a gap, the moment at which it ends."""
    shown = moments(local, zone)
    return shown[0] if shown else _end_of_gap(local, zone)


def moment_after(local: datetime, zone: tzinfo) -> int:
    """The moment that follows the last one at which the clocks of a zone show a time just before `local`.

    In a fold, `local` comes for the second time then; in a gap, it is the moment at which the gap ends.
    """
    shown = moments(local - _MS, zone)
    return shown[-1] + 1 if shown else first_moment(local, zone)


def _moment(local: datetime, zone: tzinfo, fold: int) -> int:
    # Where the two folds differ, 0 is by the offset before the change of clocks, 1 by the one after it (PEP 495).
    return (local.replace(tzinfo=zone, fold=fold) - _EPOCH) // _MS


def _end_of_gap(local: datetime, zone: tzinfo) -> int:
    # By the offset after the change, `local` lies before it, and the other way round; in between, bisection finds it.
    earlier, later = _moment(local, zone, 1), _moment(local, zone, 0)
    while later - earlier > 1:
        middle = (earlier + later) // 2
        if local_time(middle, zone) < local:
            earlier = middle
        else:
            later = middle
    return later


def _place(name: str) -> str:
    return name.casefold().rpartition("/")[2]


def _known(name: str) -> str:
    load_zone(name)
    return name


ZoneName = Annotated[str, AfterValidator(_known)]
"""A pydantic field that holds the IANA name of a time zone."""
