"""One event, one row: nothing of an event is forgotten, and nothing is invented."""

import dataclasses

import pytest

from holdfast.projections.rows import (
    BODY_COLUMNS,
    EVENT_COLUMNS,
    META_COLUMNS,
    PROMOTED,
    Place,
    event_row,
)
from holdfast.schemas import events, topics
from holdfast.schemas.codec import payload_of
from holdfast.schemas.record import EventMeta, Message, Record
from support.journal_builder import WorkflowJournal, support_ticket

PLACE = Place(topic="holdfast.journal", partition=3, offset=17)
EVENT_TYPES = sorted(topics.JOURNAL.records, key=lambda cls: cls.__name__)


def as_dict(message: Message[Record]) -> dict[str, object]:
    return dict(zip(EVENT_COLUMNS, event_row(message, PLACE)[0], strict=True))


def only(body: Record) -> Message[Record]:
    return WorkflowJournal().decide(body)[0]


@pytest.mark.parametrize("cls", EVENT_TYPES, ids=lambda cls: cls.__name__)
def test_every_field_of_every_event_is_promoted_or_left_to_the_payload(cls: type[Record]) -> None:
    mapped = PROMOTED[cls]
    fields = {field.name for field in dataclasses.fields(cls)}
    assert mapped.columns.keys() | mapped.payload_only == fields
    assert not mapped.columns.keys() & mapped.payload_only
    assert {*mapped.columns.values(), *mapped.constants} <= BODY_COLUMNS.keys()


@pytest.mark.parametrize("cls", EVENT_TYPES, ids=lambda cls: cls.__name__)
def test_no_two_fields_of_an_event_share_a_column(cls: type[Record]) -> None:
    columns = [*PROMOTED[cls].columns.values(), *PROMOTED[cls].constants]
    assert len(columns) == len(set(columns))


def test_every_field_of_the_meta_has_a_column() -> None:
    assert set(META_COLUMNS.values()) == {field.name for field in dataclasses.fields(EventMeta)}


def test_a_row_says_what_its_event_says() -> None:
    message = only(
        events.ToolCallFailed(
            step="send",
            visit=2,
            turn=3,
            effect_key="default/wf-1/send.2/3/1",
            index=1,
            attempt=4,
            executor_id="e-1",
            tool="send_email",
            error_class="timeout",
            error_message="No answer within 10 s.",
            retry_at_ms=1_767_225_700_000,
            duration_ms=10_003,
        )
    )
    row = as_dict(message)
    promoted = ("step", "visit", "turn", "attempt", "tool", "error_class", "error_message", "duration_ms", "effect_key")
    assert {name: row[name] for name in promoted} == {name: vars(message.body)[name] for name in promoted}
    assert (row["call_index"], row["due_at"]) == (1, 1_767_225_700_000)
    assert (row["decision_index"], row["decision_count"]) == (0, 1)
    assert (row["topic"], row["kafka_partition"], row["kafka_offset"]) == ("holdfast.journal", 3, 17)
    assert row["payload"] == payload_of(message.body)


def test_a_column_that_an_event_says_nothing_about_holds_its_default() -> None:
    row = as_dict(only(events.WorkflowCancelled(reason="no longer needed")))
    silent = BODY_COLUMNS.keys() - {"status"}
    assert {name: row[name] for name in silent} == {name: BODY_COLUMNS[name] for name in silent}
    assert row["status"] == "cancelled"


def test_sentences_of_a_list_become_one_text() -> None:
    row = as_dict(
        only(
            events.OutputRejected(
                step="a", visit=1, turn=1, effect_key="k", errors=("x is missing", "y is no number"), repair_round=1
            )
        )
    )
    assert row["error_message"] == "x is missing; y is no number"
    assert row["error_class"] == "output_rejected"


def test_rows_of_one_type_do_not_share_their_columns() -> None:
    first, second = (as_dict(only(events.WorkflowFailed(step=s, error_class="c", error_message="m"))) for s in "ab")
    assert (first["step"], second["step"]) == ("a", "b")


def test_the_hash_of_a_builders_event_holds_and_of_a_changed_one_does_not() -> None:
    messages = support_ticket("wf-1").messages
    assert all(event_row(message, PLACE)[1] for message in messages)
    changed = dataclasses.replace(messages[3], meta=dataclasses.replace(messages[3].meta, actor_id="somebody else"))
    assert not event_row(changed, PLACE)[1]


def test_a_record_that_is_no_event_has_no_row() -> None:
    from holdfast.schemas.requests import CancelWorkflow

    with pytest.raises(KeyError):
        event_row(only(CancelWorkflow(reason="x")), PLACE)
