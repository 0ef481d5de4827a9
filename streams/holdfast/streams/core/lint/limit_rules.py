"""Rules about limits of time and number: nothing waits for ever, and limits can take effect."""

from collections.abc import Iterator

from holdfast.streams.core import definition as d
from holdfast.streams.core.lint.rule import Hit, Rule, Severity
from holdfast.streams.core.lint.subject import Subject


def _no_limit(subject: Subject) -> Iterator[Hit]:
    for name, step in subject.steps.items():
        if isinstance(step, d._Working) and step.timeout_ms == 0:
            yield Hit(("steps", name, "timeout"), "a timeout of 0 is none: the step could wait for ever")
        if isinstance(step, d.ToolStep) and step.compensate is not None and step.compensate.timeout_ms == 0:
            yield Hit(("steps", name, "compensate", "timeout"), "a timeout of 0 is none: undoing could wait for ever")


def _limit_beyond_deadline(subject: Subject) -> Iterator[Hit]:
    deadline_ms = subject.definition.deadline_ms
    for name, step in subject.steps.items():
        if isinstance(step, d.SleepStep) and (step.for_ms or 0) >= deadline_ms:
            yield Hit(("steps", name, "for"), "the workflow's deadline comes before the step wakes up")
        if isinstance(step, d._Working) and "timeout_ms" in step.model_fields_set and step.timeout_ms > deadline_ms:
            yield Hit(("steps", name, "timeout"), "the workflow's deadline comes before this limit")


def _join_beyond_branches(subject: Subject) -> Iterator[Hit]:
    for name, step in subject.steps.items():
        if isinstance(step, d.ParallelStep) and isinstance(step.join, int) and step.join > len(step.branches):
            yield Hit(
                ("steps", name, "join"), f"{step.join} branches have to complete, and there are {len(step.branches)}"
            )


def _limit_without_numbers(subject: Subject) -> Iterator[Hit]:
    for task_class, limit in subject.definition.limits.items():
        if not limit.model_dump(exclude_defaults=True):
            yield Hit(("limits", task_class), f"this says nothing about the calls of {task_class}")


def _limit_of_nothing(subject: Subject) -> Iterator[Hit]:
    called = set()
    for step in subject.steps.values():
        if isinstance(step, d.AgentStep):
            called |= {"model", f"model:{step.model}"} | {f"tool:{tool}" for tool in step.tools}
        if isinstance(step, d.ToolStep):
            called |= {f"tool:{step.tool}"} | ({f"tool:{step.compensate.tool}"} if step.compensate else set())
    if any(task_class.startswith("tool:") for task_class in called):
        called.add("tool")
    for task_class in subject.definition.limits:
        if task_class not in called:
            yield Hit(("limits", task_class), f"no step makes calls of {task_class}")


LIMIT_RULES: tuple[Rule[Subject], ...] = (
    Rule(
        name="no_limit",
        severity=Severity.ERROR,
        sentence="A step has `timeout: 0`, which is no limit.",
        cure="say how long it may take, such as 30s, 12h or 7d",
        check=_no_limit,
    ),
    Rule(
        name="limit_beyond_deadline",
        severity=Severity.WARNING,
        sentence="A step may take longer than the workflow's `deadline`, so its own limit never takes effect.",
        cure="shorten it, or raise `deadline`",
        check=_limit_beyond_deadline,
    ),
    Rule(
        name="join_beyond_branches",
        severity=Severity.WARNING,
        sentence="`join` asks for more branches than there are.",
        cure="write `join: all`, or the number that is meant",
        check=_join_beyond_branches,
    ),
    Rule(
        name="limit_without_numbers",
        severity=Severity.ERROR,
        sentence="A limit of calls sets no limit.",
        cure="give `max_in_flight`, `requests` or `units`, or leave it out",
        check=_limit_without_numbers,
    ),
    Rule(
        name="limit_of_nothing",
        severity=Severity.WARNING,
        sentence="A limit is about a class of calls that no step makes.",
        cure="name a model or a tool that a step uses",
        check=_limit_of_nothing,
    ),
)
