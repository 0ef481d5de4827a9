"""Rules about a definition among others: those that it starts, and those that are applied together with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from holdfast.streams.core import definition as d
from holdfast.streams.core.lint.arguments import Template, Wanted, unfit
from holdfast.streams.core.lint.rule import Hit, Problem, Rule, Severity
from holdfast.streams.core.lint.subject import Subject
from holdfast.streams.core.startable import NOTHING_STARTABLE, Startable

MAX_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Company:
    """A definition and what surrounds it.

    `definition` is None if the text is none; `startable` is what it can start, by name; `twin` is the file that defines
    the same name, and `circles` has the definitions that lead back to this one, by the step that starts the first.
    """

    name: str
    definition: d.Definition | None = None
    startable: Mapping[str, Startable] = field(default_factory=lambda: NOTHING_STARTABLE)
    twin: str = ""
    circles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def company_findings(company: Company) -> Iterator[Problem]:
    """Everything that the rules say about a definition among others."""
    for rule in COMPANY_RULES:
        yield from rule.findings(company)


def _doubled_name(company: Company) -> Iterator[Hit]:
    if company.twin:
        yield Hit(("name",), f"{company.twin} defines {company.name!r} as well")


def _circular_start(company: Company) -> Iterator[Hit]:
    for step, names in company.circles.items():
        several = f"{', '.join(map(repr, names))} start one another in a circle"
        yield Hit(("steps", step, "definition"), several if len(names) > 1 else f"{names[0]!r} starts itself")


def _unfit_child_input(company: Company) -> Iterator[Hit]:
    if company.definition is None:
        return
    subject = Subject(company.definition)
    for name, step in company.definition.steps.items():
        if isinstance(step, d.ChildStep | d.ScheduleStep) and (started := company.startable.get(step.definition)):
            template = Template(place=("steps", name, "input"), value=step.input)
            for found in islice(unfit(subject, template, Wanted(dict(started.input), "input")), MAX_LISTED):
                yield Hit(
                    found.path,
                    f"not an input of {step.definition!r}: {found.message}",
                    f"the schema stands under `input` in the definition of {step.definition!r}",
                )


COMPANY_RULES: tuple[Rule[Company], ...] = (
    Rule(
        name="doubled_name",
        severity=Severity.ERROR,
        sentence="Two files of one call define the same name.",
        cure="rename one, or apply one",
        check=_doubled_name,
    ),
    Rule(
        name="circular_start",
        severity=Severity.ERROR,
        sentence="Definitions start one another in a circle.",
        cure=(
            "a definition pins what it starts, so it cannot contain itself: go back with `next`, or repeat steps with "
            "`map`"
        ),
        check=_circular_start,
    ),
    Rule(
        name="unfit_child_input",
        severity=Severity.ERROR,
        sentence="What a step hands over can never be an input of the definition that it starts.",
        cure="the schema stands under `input` in the definition that is started",
        check=_unfit_child_input,
    ),
)
