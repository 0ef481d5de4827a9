"""A class and its schema say the same, and its name says what it is."""

import re
from dataclasses import dataclass

import pytest

from holdfast.schemas.catalog import newest_by_subject, schemas_by_id
from holdfast.schemas.codec import record_types
from holdfast.schemas.record import Json, Record
from holdfast.schemas.topics import CHANGELOG, CORRELATOR_CHANGELOG, TOPICS, Topic
from support import class_rules, tiny
from support.tiny import JSON_TEXT, field, record

# Last words of events. `Unknown` is the one adjective: ToolOutcomeUnknown says that nobody can tell.
PAST_TENSE = frozenset(
    [
        *("Blocked", "Bound", "Cancelled", "Changed", "Claimed", "Completed", "Counted", "Decided", "Dropped"),
        *("Ended", "Expired", "Extended", "Failed", "Fired", "Forked", "Migrated", "Paused", "Reached", "Received"),
        *("Recorded", "Registered", "Rejected", "Released", "Requested", "Resolved", "Resumed", "Retried"),
        *("Scheduled", "Skipped", "Started"),
        *("Out", "Over", "Unknown"),  # StepTimedOut, StepTakenOver, ToolOutcomeUnknown
    ]
)
# First words of requests, reports and tasks.
IMPERATIVE = frozenset(
    [
        *("Cancel", "Claim", "Decide", "Deliver", "Extend", "Fire", "Fork", "Grant", "Look", "Migrate", "Pause"),
        *("Publish", "Release", "Report", "Resolve", "Resume", "Retry", "Run", "Skip", "Start", "Stop", "Terminate"),
        "Trigger",
    ]
)
WORD = re.compile(r"[A-Z][a-z]*")

RECORDS = list(record_types().items())


def named(kind: str) -> list[str]:
    return [cls.__name__ for subject, cls in RECORDS if subject.startswith(f"holdfast.{kind}.")]


@pytest.mark.parametrize(("subject", "cls"), RECORDS, ids=[cls.__name__ for _, cls in RECORDS])
def test_a_class_has_the_fields_of_its_schema_in_name_order_and_type(subject: str, cls: type[Record]) -> None:
    versions = [schema for schema in schemas_by_id().values() if schema.subject == subject]
    assert class_rules.problems(cls, versions) == []


@dataclass(frozen=True, kw_only=True)
class ThingDone(Record):
    step: str
    body: Json = None


GOOD_SCHEMA = record("ThingDone", field("step"), field("body", JSON_TEXT, default="null"))
WITHOUT_BODY = record("ThingDone", field("step"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([field("step")], "has the fields"),
        ([field("body", JSON_TEXT), field("step")], "has the fields"),
        ([field("step", "bytes"), field("body", JSON_TEXT)], "step is a"),
        ([field("step"), field("body")], "body is a"),
        ([field("step"), field("body", JSON_TEXT, default='"x"')], "needs the default"),
    ],
)
def test_a_class_that_differs_from_its_schema_is_noticed(fields: list[tiny.Node], said: str) -> None:
    versions = tiny.versions(WITHOUT_BODY, record("ThingDone", *fields))
    assert [problem for problem in class_rules.problems(ThingDone, versions) if said in problem]


def test_a_class_that_mirrors_its_newest_schema_has_no_problems_of_its_own() -> None:
    found = class_rules.problems(ThingDone, tiny.versions(WITHOUT_BODY, GOOD_SCHEMA))
    assert [problem for problem in found if problem.startswith("ThingDone")] == []


def test_every_subject_has_a_class_and_every_class_a_subject() -> None:
    assert set(newest_by_subject()) == set(record_types())


@pytest.mark.parametrize("name", named("event"))
def test_an_event_is_named_in_the_past_tense(name: str) -> None:
    assert WORD.findall(name)[-1] in PAST_TENSE


@pytest.mark.parametrize("name", [*named("request"), *named("report"), *named("task")])
def test_what_asks_for_something_is_named_in_the_imperative(name: str) -> None:
    assert WORD.findall(name)[0] in IMPERATIVE


@pytest.mark.parametrize("name", named("state"))
def test_a_row_is_named_as_one(name: str) -> None:
    assert name.endswith("Row")


def test_no_two_records_share_a_short_name() -> None:
    names = [cls.__name__ for cls in record_types().values()]
    assert len(names) == len(set(names))


def test_every_record_has_a_topic() -> None:
    assert {cls for topic in TOPICS for cls in topic.records} == set(record_types().values())


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_carries_either_rows_or_records_with_a_meta(topic: Topic) -> None:
    rows = [cls for cls in topic.records if cls.__name__.endswith("Row")]
    assert rows == (list(topic.records) if topic in (CHANGELOG, CORRELATOR_CHANGELOG) else [])
