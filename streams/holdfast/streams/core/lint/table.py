"""All rules about the meaning of a definition, and what they find."""

from collections.abc import Iterator

from holdfast.streams.core.definition import Definition
from holdfast.streams.core.lint.approval_rules import APPROVAL_RULES
from holdfast.streams.core.lint.event_rules import EVENT_RULES
from holdfast.streams.core.lint.expression_rules import EXPRESSION_RULES
from holdfast.streams.core.lint.graph_rules import GRAPH_RULES
from holdfast.streams.core.lint.limit_rules import LIMIT_RULES
from holdfast.streams.core.lint.part_rules import PART_RULES
from holdfast.streams.core.lint.rule import Problem, Rule
from holdfast.streams.core.lint.subject import Subject
from holdfast.streams.core.lint.tool_rules import TOOL_RULES

RULES: tuple[Rule[Subject], ...] = (
    *GRAPH_RULES,
    *LIMIT_RULES,
    *EXPRESSION_RULES,
    *TOOL_RULES,
    *APPROVAL_RULES,
    *PART_RULES,
    *EVENT_RULES,
)


def findings(definition: Definition) -> Iterator[Problem]:
    """Everything that the rules say about a definition that is well-formed: errors and warnings."""
    subject = Subject(definition)
    for rule in RULES:
        yield from rule.findings(subject)


def vital_findings(definition: Definition) -> Iterator[Problem]:
    """Why the engine could not run a definition."""
    subject = Subject(definition)
    for rule in RULES:
        if rule.vital:
            yield from rule.findings(subject)
