"""The page about the rules for definitions, `docs/lint.md`, made from the rule tables. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.ops.cures import Explanation
from holdfast.streams.core.lint.approval_rules import APPROVAL_RULES
from holdfast.streams.core.lint.company_rules import COMPANY_RULES
from holdfast.streams.core.lint.event_rules import EVENT_RULES
from holdfast.streams.core.lint.expression_rules import EXPRESSION_RULES
from holdfast.streams.core.lint.form import FORM_RULES
from holdfast.streams.core.lint.graph_rules import GRAPH_RULES
from holdfast.streams.core.lint.limit_rules import LIMIT_RULES
from holdfast.streams.core.lint.part_rules import PART_RULES
from holdfast.streams.core.lint.rule import Rule
from holdfast.streams.core.lint.tool_rules import TOOL_RULES

FILE_NAME = "docs/lint.md"
_CHAPTERS: Sequence[tuple[str, Sequence[Rule[Any]]]] = (
    ("The form of the file", FORM_RULES),
    ("The graph of steps", GRAPH_RULES),
    ("Limits", LIMIT_RULES),
    ("Expressions", EXPRESSION_RULES),
    ("Tools", TOOL_RULES),
    ("Approvals", APPROVAL_RULES),
    ("Events from outside", EVENT_RULES),
    ("Schemas, and definitions that are started", (*PART_RULES, *COMPANY_RULES)),
)
EVERY_RULE: tuple[Rule[Any], ...] = tuple(rule for _, rules in _CHAPTERS for rule in rules)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One classic mistake of agent workflows: what makes it impossible here, and the rules that refuse the rest."""

    mistake: str
    impossible: str
    rules: tuple[str, ...]


MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        mistake="Progress only in the prompt",
        impossible="every step's output is an event, and later steps read outputs and nothing else",
        rules=("type_mismatch", "no_such_field", "unknown_output"),
    ),
    Mistake(
        mistake="Long work in one synchronous request",
        impossible="starting a workflow returns at once, and every call is a task of its own",
        rules=("long_call",),
    ),
    Mistake(
        mistake="Retry without a key",
        impossible="a call has one effect key for all its attempts, and an unknown outcome is never repeated blindly",
        rules=("retry_without_key",),
    ),
    Mistake(
        mistake="No checkpoint before a state change",
        impossible="the intent of a call is in the journal before an executor hears of it",
        rules=("approval_not_before", "approval_out_of_sight", "output_of_later_step"),
    ),
    Mistake(
        mistake="Waiting without a deadline",
        impossible="a step that waits holds a timer, and so does the workflow",
        rules=("missing_deadline", "missing_timeout", "no_limit", "no_end", "endless_loop"),
    ),
    Mistake(
        mistake="Approvals not stored",
        impossible="request, reviewer, decision and time are events, and the call names the approval that it used",
        rules=("no_reviewers", "not_an_approval", "approval_of_other_tool"),
    ),
    Mistake(
        mistake="Too much old context",
        impossible="an agent starts with its own instructions and prompt, not with what others said",
        rules=("prompt_of_everything",),
    ),
    Mistake(
        mistake="Observability as an afterthought",
        impossible="nothing happens without an event, and every event is a row; no definition can switch that off",
        rules=(),
    ),
)


def rule_explanations() -> dict[str, Explanation]:
    """What each rule means and what to do, by its name."""
    rows = [(rule, f"lint {rule.severity.value}") for rule in EVERY_RULE]
    return {r.name: Explanation(code=r.name, kind=kind, meaning=r.sentence, cure=r.cure) for r, kind in rows}


_HEAD = """\
# Rules for definitions

`holdfast apply` refuses a definition that breaks one of these rules with an **error**; a **warning** is printed, and
the definition is accepted. `holdfast lint FILE...` lists everything at once and needs no broker: it does not know what
is published, so a step may start a definition of any name. `holdfast explain RULE` says what a rule means.

Rules marked with * are vital: the engine itself does not run a definition that breaks them, however it was published.
All others are asked when a definition is applied, and never again: a rule that becomes stricter touches no workflow
that runs.

Expressions are checked against the declared schemas: `input`, the `output` of agents, the result of tools, what the
other kinds of steps leave, the variables that `assign` steps set. What a schema leaves open may be anything; but an
object whose schema lists `properties` has these and no others, unless `additionalProperties` allows more.

This page is made from the rules: `holdfast lint --rules > docs/lint.md`.
"""


def render() -> str:
    """The page, in Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for title, rules in _CHAPTERS:
        yield f"## {title}\n\n| rule | | what is wrong | what to do |\n|---|---|---|---|"
        for rule in rules:
            mark = "*" if rule.vital else ""
            yield f"| `{rule.name}`{mark} | {rule.severity.value} | {_cell(rule.sentence)} | {_cell(rule.cure)} |"
        yield ""
    yield "## The classic mistakes\n\n| mistake | why it cannot happen | what is refused |\n|---|---|---|"
    for mistake in MISTAKES:
        refused = ", ".join(f"`{name}`" for name in mistake.rules) or "-"
        yield f"| {mistake.mistake} | {mistake.impossible} | {refused} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
