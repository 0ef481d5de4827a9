"""What must hold once everything is quiet: nothing is lost, nothing is owed, and every copy says the same."""

from collections.abc import AsyncIterator, Mapping

from holdfast.ops.simulate.broker import Broker, Record
from holdfast.ops.simulate.executors import Tables
from holdfast.ops.simulate.invariants import ENDINGS, Broken, Checker, Shadow
from holdfast.ops.simulate.models import ModelServer
from holdfast.ops.simulate.target import Target
from holdfast.projections.rows import EVENT_COLUMNS
from holdfast.schemas import events as e
from holdfast.schemas import results as res
from holdfast.schemas import topics
from holdfast.schemas.codec import decode
from holdfast.schemas.ids import split_correlation_key
from holdfast.streams.audit import compare_topics
from holdfast.streams.consequences import REQUEST_TYPES
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.replay import first_divergence
from holdfast.streams.correlator.rows import read_key
from holdfast.streams.rows import PARTITION_ROW_KEY

_HASH, _KEY = EVENT_COLUMNS.index("hash"), [EVENT_COLUMNS.index(n) for n in ("tenant", "workflow_id", "sequence")]


async def check_ending(
    checker: Checker,
    broker: Broker,
    tables: Tables,
    target: Target,
    models: ModelServer,
    definitions: Mapping[str, CompiledDefinition],
) -> None:
    """Look at everything once more. Raises Broken."""
    for shadow in checker.shadows.values():
        _finished(checker, shadow)
        _replayed(checker, shadow, definitions)
    _tables(checker, broker, tables)
    _told(checker, broker)
    _intended(checker, target, models)
    await _audit(checker, broker)


def _holds(checker: Checker, invariant: str, holds: bool, sentence: str) -> None:
    checker.checks += 1
    if not holds:
        raise Broken(invariant, sentence)


def _finished(checker: Checker, shadow: Shadow) -> None:
    state = shadow.live
    name = f"{state.workflow_id} is {state.status} at {', '.join(state.active) or 'no step'}"
    _holds(checker, "I12", state.finished, f"{name}, and nothing brings it to its end")


def _replayed(checker: Checker, shadow: Shadow, definitions: Mapping[str, CompiledDefinition]) -> None:
    found = first_divergence(shadow.messages, definitions[shadow.live.definition_hash])
    reason = f"{shadow.live.workflow_id} event {found.sequence}: {found.reason}" if found else ""
    _holds(checker, "I6", found is None, f"decided over again, it goes another way: {reason}")


def _tables(checker: Checker, broker: Broker, tables: Tables) -> None:
    rows = {tuple(row[at] for at in _KEY): row[_HASH] for row in tables.rows.get("events", {}).values()}
    for shadow in checker.shadows.values():
        for message in shadow.messages:
            meta = message.meta
            found = rows.pop((meta.tenant, meta.workflow_id, meta.sequence), None)
            same = found == meta.hash
            _holds(checker, "I7", same, f"the table lacks event {meta.sequence} of {meta.workflow_id}, or has another")
    _holds(checker, "I7", not rows, f"the table has {len(rows)} events that the journal has not")
    refused = {
        (record.partition, record.offset)
        for record in broker.all_of(topics.RESULTS.name)
        if decode(record.value).meta.type == "RequestRejected"
    }
    kept = {key[1:] for key in tables.rows.get("request_rejections", {})}
    _holds(checker, "I7", refused == kept, "the table of refused requests is not what stands on `results`")
    _holds(checker, "I7", not tables.rows.get("dead_letters"), "the sink found records that it could not read")


def _told(checker: Checker, broker: Broker) -> None:
    """Everybody downstream has heard how workflows ended, what was refused, and what the status is."""
    results = {decode(record.value).meta.event_id for record in broker.all_of(topics.RESULTS.name)}
    refused = {
        decoded.body.request_id
        for record in broker.all_of(topics.RESULTS.name)
        if isinstance((decoded := decode(record.value)).body, res.RequestRejected)
    }
    statuses = {
        (record.key, body.status)
        for record in broker.all_of(topics.STATUS.name)
        if isinstance(body := decode(record.value).body, res.WorkflowStatus)
    }
    for shadow in checker.shadows.values():
        name, status = shadow.live.workflow_id, shadow.live.status.value
        # Not that it is the latest: the late word of a worker that has lost its partition may come behind it.
        _holds(checker, "I15", (shadow.key, status) in statuses, f"that {name} is {status} is not on `status`")
        for message in shadow.messages:
            body, event_id = message.body, message.meta.event_id
            if isinstance(body, ENDINGS):
                _holds(checker, "I15", event_id in results, f"the end of {name} is not on `results`")
            elif isinstance(body, e.InputRejected) and body.input_type in REQUEST_TYPES:
                _holds(checker, "I15", body.input_id in refused, f"nobody heard that {body.input_id} was refused")


def _intended(checker: Checker, target: Target, models: ModelServer) -> None:
    intents = {
        (key, attempt)
        for shadow in checker.shadows.values()
        for key, effects in shadow.effects.items()
        for attempt in effects.attempts
    }
    for effect in target.effects:
        known = (effect.effect_key, effect.attempt) in intents
        _holds(checker, "I1", known, f"{effect.tool} acted for {effect.effect_key}, which nobody asked for")
    for asked in models.asked:
        _holds(checker, "I8", asked in intents, f"a model was paid for {asked}, which nobody asked for")


def _late_rows(broker: Broker) -> set[tuple[str, str, str]]:
    """Subscriptions whose row came once more after it was gone: a killed worker's last write, late on its way.

    As with a late word, whoever is handed an event in vain says so, and the subscription is gone for good.
    """
    gone: set[bytes] = set()
    late: set[bytes] = set()
    for record in broker.all_of(topics.CORRELATOR_CHANGELOG.name):
        assert record.key is not None
        (gone if record.value is None else late if record.key in gone else set()).add(record.key)
    keys = [read_key(key) for key in sorted(late) if key != PARTITION_ROW_KEY]
    return {(key.name, *split_correlation_key(key.at.decode())[1:]) for key in keys}


async def _audit(checker: Checker, broker: Broker) -> None:
    async def read(topic: topics.Topic) -> AsyncIterator[Record]:
        for record in broker.all_of(topic.name):
            yield record

    found = await compare_topics(read)
    checks: tuple[tuple[str, object, str], ...] = (
        ("I6", found.rows_differ, "rows that are not what the journal folds to"),
        ("I7", found.decisions_cut_short, "decisions that nobody completed"),
        ("I12", found.tasks_missing, "intents without a task"),
        ("I1", found.tasks_unexpected, "tasks without an intent"),
        ("I14", found.letters_missing, "letters that were never sent"),
        ("I14", found.letters_unexpected, "letters that nobody owed"),
        ("I14", found.starts_unanswered, "children that were neither started nor refused"),
        ("I13", found.events_doubled, "events that ended two waits"),
        ("I13", found.subscriptions_missing, "open waits that the correlator does not know of"),
        (
            "I13",
            set(found.subscriptions_unexpected) - checker.late_words - _late_rows(broker),
            "waits that the correlator takes for open",
        ),
    )
    for invariant, what, sentence in checks:
        _holds(checker, invariant, not what, f"{sentence}: {what}")
