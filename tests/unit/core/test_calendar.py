"""Calendar windows: what their text means, and when they open and close, above all where clocks are changed."""

import pytest
from pydantic import BaseModel, ValidationError

from holdfast.streams.core.calendar import CalendarWindow, Window, parse_window
from holdfast.streams.core.times import parse_time_ms, time_text

OFFICE = "Mon-Fri 09:00-17:00 Europe/Paris"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (OFFICE, OFFICE),
        ("mon-FRI 9:00-17:00 Europe/Paris", OFFICE),
        ("  Mon - Fri  09:00 - 17:00  Europe/Paris ", OFFICE),
        ("Fri,Mon,Thu,Tue,Wed 09:00-17:00 Europe/Paris", OFFICE),
        ("Mon-Wed, Fri 13:00-17:00, 09:00-12:00 UTC", "Mon-Wed,Fri 09:00-12:00,13:00-17:00 UTC"),
        ("Fri-Mon 22:00-06:00 UTC", "Mon,Fri-Sun 22:00-06:00 UTC"),
        ("Sun-Sat 00:00-24:00 Asia/Kolkata", "Mon-Sun 00:00-24:00 Asia/Kolkata"),
        ("Tue 22:00-00:00 UTC", "Tue 22:00-24:00 UTC"),
        ("Sat-Sat 00:00-00:01 America/Argentina/Buenos_Aires", "Sat 00:00-00:01 America/Argentina/Buenos_Aires"),
        ("Mon 00:00-01:00 Etc/GMT-14", "Mon 00:00-01:00 Etc/GMT-14"),
    ],
)
def test_a_window_has_one_canonical_text(text: str, canonical: str) -> None:
    window = parse_window(text)
    assert str(window) == canonical
    assert parse_window(canonical) == window


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write days, times and a time zone, such as Mon-Fri 09:00-17:00 Europe/Paris"),
        ("Mon-Fri 09:00-17:00", "write days, times and a time zone"),
        ("09:00-17:00 Europe/Paris", "write days, times and a time zone"),
        ("Mon-Fri 09:00-17:00 Europe/Paris please", "write days, times and a time zone"),
        (None, "None is not a calendar window"),
        ("Mo-Fr 09:00-17:00 UTC", "'Mo-Fr' is not a day or a range of days: write Mon, Tue"),
        ("Mon-Wed-Fri 09:00-17:00 UTC", "'Mon-Wed-Fri' is not a day"),
        ("Mon, 09:00-17:00 UTC", "write days"),
        ("Mon,,Tue 09:00-17:00 UTC", "'' is not a day"),
        ("Mon 9-17 UTC", "'9-17' is not a span of time: write 09:00-17:00"),
        ("Mon 09:00-17:60 UTC", "'09:00-17:60' is not a span of time"),
        ("Mon 09:00-24:01 UTC", "ends by 24:00"),
        ("Mon 24:00-25:00 UTC", "starts from 00:00 to 23:59"),
        ("Mon 09:00-09:00 UTC", "a whole day is 00:00-24:00"),
        ("Mon 09:00-17:00 paris", "'paris' is not a time zone: write an IANA name such as Europe/Paris"),
        ("Mon 09:00-17:00 Foo/Kolkata", "such as Asia/Kolkata"),
        ("Mon 09:00-17:00 CEST", "'CEST' is not a time zone"),
        ("Mon 09:00-17:00 +02:00", "'+02:00' is not a time zone"),
        ("Mon 09:00-17:00 ../zoneinfo/UTC", "is not a time zone"),
        ("Mon 09:00-17:00 Factory", "'Factory' is not a time zone"),
    ],
)
def test_what_is_not_a_window_is_refused_with_a_sentence(text: object, said: str) -> None:
    with pytest.raises(ValueError, match="is not a") as caught:
        parse_window(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("window", "now", "opens"),
    [
        (OFFICE, "2026-01-05T08:59:59.999+01:00", "2026-01-05T09:00:00+01:00"),
        (OFFICE, "2026-01-05T09:00:00+01:00", "2026-01-05T09:00:00+01:00"),
        (OFFICE, "2026-01-05T16:59:59.999+01:00", "2026-01-05T16:59:59.999+01:00"),
        (OFFICE, "2026-01-05T17:00:00+01:00", "2026-01-06T09:00:00+01:00"),
        (OFFICE, "2026-03-27T17:00:00+01:00", "2026-03-30T09:00:00+02:00"),
        (OFFICE, "2026-10-23T17:00:00+02:00", "2026-10-26T09:00:00+01:00"),
        ("Mon-Fri 09:00-12:00,13:00-17:00 UTC", "2026-01-05T12:00:00Z", "2026-01-05T13:00:00Z"),
        ("Mon-Fri 09:00-17:00,10:00-11:00 UTC", "2026-01-05T12:00:00Z", "2026-01-05T12:00:00Z"),
        ("Fri 22:00-06:00 UTC", "2026-01-03T05:59:59.999Z", "2026-01-03T05:59:59.999Z"),
        ("Fri 22:00-06:00 UTC", "2026-01-03T06:00:00Z", "2026-01-09T22:00:00Z"),
        ("Mon-Sun 00:00-24:00 Europe/Paris", "2026-03-29T12:00:00Z", "2026-03-29T12:00:00Z"),
        ("Thu 09:00-10:00 UTC", "2024-02-29T10:00:00Z", "2024-03-07T09:00:00Z"),
        ("Thu 09:00-10:00 UTC", "2024-02-28T00:00:00Z", "2024-02-29T09:00:00Z"),
        ("Fri 00:00-01:00 UTC", "2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z"),
        ("Mon 09:00-10:00 Asia/Kolkata", "2026-01-05T00:00:00Z", "2026-01-05T09:00:00+05:30"),
        ("Thu 00:00-00:01 UTC", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        # The day that Samoa left out when it crossed the date line.
        ("Fri 09:00-10:00 Pacific/Apia", "2011-12-29T12:00:00-10:00", "2012-01-06T09:00:00+14:00"),
        ("Thu 23:00-06:00 Pacific/Apia", "2011-12-31T00:00:00+14:00", "2012-01-05T23:00:00+14:00"),
        # A span that clocks skip does not open on that day.
        ("Sun 02:15-02:45 Europe/Paris", "2026-03-23T00:00:00Z", "2026-04-05T02:15:00+02:00"),
        ("Sun 02:00-02:30 Australia/Lord_Howe", "2026-09-28T00:00:00Z", "2026-10-11T02:00:00+11:00"),
        ("Fri 00:00-01:00 Africa/Cairo", "2026-04-18T00:00:00Z", "2026-05-01T00:00:00+03:00"),
    ],
)
def test_when_a_window_opens_next(window: str, now: str, opens: str) -> None:
    assert time_text(parse_window(window).next_open_ms(parse_time_ms(now))) == time_text(parse_time_ms(opens))


@pytest.mark.parametrize(
    ("window", "opens", "closes"),
    [
        # Clocks are put forward: 02:00 becomes 03:00, on Lord Howe Island 02:30; in Cairo and Santiago 00:00 is 01:00.
        ("Sun 01:00-02:30 Europe/Paris", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("Sun 01:00-02:00 Europe/Paris", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("Sun 01:00-03:00 Europe/Paris", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("Sun 02:30-05:00 Europe/Paris", "2026-03-29T03:00:00+02:00", "2026-03-29T05:00:00+02:00"),
        ("Sat 22:00-06:00 America/New_York", "2026-03-07T22:00:00-05:00", "2026-03-08T06:00:00-04:00"),
        ("Sun 02:10-04:00 Australia/Lord_Howe", "2026-10-04T02:30:00+11:00", "2026-10-04T04:00:00+11:00"),
        ("Thu 22:00-24:00 Africa/Cairo", "2026-04-23T22:00:00+02:00", "2026-04-24T01:00:00+03:00"),
        ("Fri 00:00-08:00 Africa/Cairo", "2026-04-24T01:00:00+03:00", "2026-04-24T08:00:00+03:00"),
        ("Sun 00:30-02:00 America/Santiago", "2026-09-06T01:00:00-03:00", "2026-09-06T02:00:00-03:00"),
        # Clocks are put back: 03:00 becomes 02:00, New York 02:00 01:00, Lord Howe 02:00 01:30, Cairo, Santiago 24:00
        # 23:00. What is shown twice is all open.
        ("Sun 01:00-02:30 Europe/Paris", "2026-10-25T01:00:00+02:00", "2026-10-25T02:30:00+01:00"),
        ("Sun 02:30-05:00 Europe/Paris", "2026-10-25T02:30:00+02:00", "2026-10-25T05:00:00+01:00"),
        ("Sun 02:15-02:45 Europe/Paris", "2026-10-25T02:15:00+02:00", "2026-10-25T02:45:00+01:00"),
        # These hold no time that is shown twice, so they are as long as ever.
        ("Sun 01:00-02:00 Europe/Paris", "2026-10-25T01:00:00+02:00", "2026-10-25T02:00:00+02:00"),
        ("Sun 03:00-04:00 Europe/Paris", "2026-10-25T03:00:00+01:00", "2026-10-25T04:00:00+01:00"),
        ("Sun 01:00-01:30 America/New_York", "2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-05:00"),
        ("Sun 01:00-01:45 Australia/Lord_Howe", "2026-04-05T01:00:00+11:00", "2026-04-05T01:45:00+10:30"),
        ("Thu 22:00-24:00 Africa/Cairo", "2026-10-29T22:00:00+03:00", "2026-10-30T00:00:00+02:00"),
        ("Sat 23:30-00:30 America/Santiago", "2026-04-04T23:30:00-03:00", "2026-04-05T00:30:00-04:00"),
        ("Sat 22:00-24:00 America/Havana", "2026-10-31T22:00:00-04:00", "2026-11-01T00:00:00-04:00"),
        # Clocks were put back from 00:01 on Sunday to Saturday: the span of Sunday had opened already.
        ("Sun 00:00-06:00 America/St_Johns", "2010-11-07T00:00:00-02:30", "2010-11-07T06:00:00-03:30"),
    ],
)
def test_a_window_where_clocks_are_changed(window: str, opens: str, closes: str) -> None:
    hours, opens_ms, closes_ms = parse_window(window), parse_time_ms(opens), parse_time_ms(closes)
    assert time_text(hours.next_open_ms(opens_ms - 3_600_000)) == time_text(opens_ms)
    shown = [hours.contains(ms) for ms in (opens_ms - 1, opens_ms, closes_ms - 1, closes_ms)]
    assert shown == [False, True, True, False]
    assert all(hours.contains(ms) for ms in range(opens_ms, closes_ms, 60_000))


class Holder(BaseModel):
    within: CalendarWindow


def test_a_model_holds_a_window_and_writes_its_canonical_text() -> None:
    holder = Holder.model_validate({"within": "mon-fri 9:00-17:00 Europe/Paris"})
    assert holder.within == Window(days=(0, 1, 2, 3, 4), spans=((540, 1020),), zone="Europe/Paris")
    assert holder.model_dump(mode="json") == {"within": OFFICE}
    assert Holder.model_validate(holder.model_dump()) == holder == Holder(within=holder.within)
    assert Holder.model_json_schema()["properties"]["within"]["type"] == "string"


def test_a_model_says_what_is_wrong_with_a_window() -> None:
    with pytest.raises(ValidationError, match="'Mo' is not a day"):
        Holder.model_validate({"within": "Mo 09:00-17:00 Europe/Paris"})
