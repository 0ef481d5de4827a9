"""Time zones: their rules are those of the pinned package, whatever the machine says."""

import os
import subprocess
import sys
from datetime import datetime
from importlib import resources
from pathlib import Path

import pytest

from holdfast.streams.core.times import parse_time_ms
from holdfast.streams.core.zones import first_moment, load_zone, local_time, moment_after, moments, zone_names

# Asks for the offset of Paris in January: as the machine has it, and as the core has it.
SCRIPT = """
from datetime import datetime
from zoneinfo import ZoneInfo
from holdfast.streams.core.zones import load_zone
for zone in (ZoneInfo("Europe/Paris"), load_zone("Europe/Paris")):
    print(datetime(2026, 1, 1, tzinfo=zone).utcoffset())
"""


def test_zone_files_of_the_machine_are_not_looked_at(tmp_path: Path) -> None:
    tokyo = resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Paris").write_bytes(tokyo)
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.split() == ["9:00:00", "1:00:00"]


def test_every_zone_can_be_loaded() -> None:
    assert {load_zone(name).key for name in zone_names()} == zone_names()
    assert len(zone_names()) > 500


@pytest.mark.parametrize("name", ["", "Paris", "europe/paris", "../zones", "/etc/localtime", "Factory", "Europe"])
def test_what_is_not_a_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone"):
        load_zone(name)


@pytest.mark.parametrize(
    ("zone", "local", "shown", "first", "after"),
    [
        (
            "Europe/Paris",
            "2026-01-01T12:00",
            ["2026-01-01T12:00:00+01:00"],
            "2026-01-01T12:00:00+01:00",
            "2026-01-01T12:00:00+01:00",
        ),
        ("Europe/Paris", "2026-03-29T02:30", [], "2026-03-29T03:00:00+02:00", "2026-03-29T03:00:00+02:00"),
        ("Antarctica/Troll", "2026-03-29T02:59", [], "2026-03-29T03:00:00+02:00", "2026-03-29T03:00:00+02:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:00", [], "2026-10-04T02:30:00+11:00", "2026-10-04T02:30:00+11:00"),
        (
            "Europe/Paris",
            "2026-10-25T02:30",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"],
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:30:00+01:00",
        ),
        (
            "Europe/Paris",
            "2026-10-25T02:00",
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"],
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:00:00+02:00",
        ),
        ("UTC", "1970-01-01T00:00", ["1970-01-01T00:00:00Z"], "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_the_moments_of_a_local_time(zone: str, local: str, shown: list[str], first: str, after: str) -> None:
    time, clocks = datetime.fromisoformat(local), load_zone(zone)
    assert moments(time, clocks) == tuple(map(parse_time_ms, shown))
    assert first_moment(time, clocks) == parse_time_ms(first)
    assert moment_after(time, clocks) == parse_time_ms(after)
    assert all(local_time(ms, clocks) == time for ms in moments(time, clocks))
