"""Rules about `events`: what becomes of events that come before a step waits for them."""

from collections.abc import Iterator

from holdfast.streams.core import definition as d
from holdfast.streams.core.lint.rule import Hit, Rule, Severity
from holdfast.streams.core.lint.subject import Subject


def _unawaited_event(subject: Subject) -> Iterator[Hit]:
    awaited = {
        event_type for step in subject.steps.values() if isinstance(step, d.WaitStep) for event_type in step.types
    }
    for event_type in subject.definition.events:
        if event_type not in awaited:
            cure = f"the steps wait for {', '.join(sorted(awaited))}" if awaited else ""
            yield Hit(("events", event_type), f"no step waits for events of type {event_type!r}", cure)


def _allowed_in_no_step(subject: Subject) -> Iterator[Hit]:
    for event_type, rule in subject.definition.events.items():
        for place, name in enumerate(rule.allowed_in):
            if name not in subject.steps:
                yield Hit(("events", event_type, "allowed_in", place), f"there is no step {name!r}")


EVENT_RULES: tuple[Rule[Subject], ...] = (
    Rule(
        name="unawaited_event",
        severity=Severity.ERROR,
        sentence="`events` has a rule for a type that no `wait` step names.",
        cure="delete it, or check its spelling",
        check=_unawaited_event,
    ),
    Rule(
        name="allowed_in_no_step",
        severity=Severity.ERROR,
        sentence="`allowed_in` names a step that does not exist.",
        cure="name steps of this definition",
        check=_allowed_in_no_step,
    ),
)
