"""Rules about tools: that they exist, that their arguments fit, and that their effects are called with care."""

from collections.abc import Iterator

from holdfast.streams.core import definition as d
from holdfast.streams.core.graph import Path
from holdfast.streams.core.lint.arguments import Template, Wanted, unfit
from holdfast.streams.core.lint.rule import Hit, Rule, Severity
from holdfast.streams.core.lint.subject import Subject

LONGEST_CALL_MS = 900_000
"""A call that takes longer holds a connection and an executor's slot for work that belongs to a job of its own."""


def _tools_named(subject: Subject) -> Iterator[tuple[Path, d.Step, str]]:
    for name, step in subject.steps.items():
        if isinstance(step, d.AgentStep):
            yield from ((("steps", name, "tools", i), step, tool) for i, tool in enumerate(step.tools))
        elif isinstance(step, d.ToolStep | d.ApprovalStep):
            yield ("steps", name, "tool"), step, step.tool
        if isinstance(step, d.ToolStep) and step.compensate is not None:
            yield ("steps", name, "compensate", "tool"), step, step.compensate.tool


def _no_such_tool(subject: Subject) -> Iterator[Hit]:
    known = ", ".join(sorted(subject.definition.tools)) or "none"
    for path, _, tool in _tools_named(subject):
        if tool not in subject.definition.tools:
            yield Hit(
                path,
                f"there is no tool {tool!r}",
                f"known tools: {known}; name the module that declares it in HOLDFAST_TOOL_MODULES",
            )


def _unfit_argument(subject: Subject) -> Iterator[Hit]:
    wanted = {name: Wanted(tool.input_schema, "arguments") for name, tool in subject.definition.tools.items()}
    for template, name in _arguments(subject):
        for found in unfit(subject, template, wanted[name]) if name in wanted else ():
            yield Hit(found.path, f"not an argument of {name!r}: {found.message}")


def _arguments(subject: Subject) -> Iterator[tuple[Template, str]]:
    """The arguments that steps compute, and the tool that they are for."""
    for name, step in subject.steps.items():
        if isinstance(step, d.ToolStep | d.ApprovalStep):
            yield Template(place=("steps", name, "arguments"), value=step.arguments), step.tool
        if isinstance(step, d.ToolStep) and (undo := step.compensate) is not None:
            place: Path = ("steps", name, "compensate", "arguments")
            yield Template(place=place, value=undo.arguments), undo.tool


def _retry_without_key(subject: Subject) -> Iterator[Hit]:
    for place, name, retry in _retries(subject):
        tool = subject.definition.tools.get(name)
        wanted = "max_attempts" in retry.model_fields_set and retry.max_attempts > 1
        if wanted and tool is not None and not _is_repeatable(tool):
            yield Hit(
                (*place, "retry", "max_attempts"),
                f"{retry.max_attempts} attempts of {name!r}, and its effect {tool.effect!r} has no key that makes a "
                "second attempt harmless",
            )


def _retries(subject: Subject) -> Iterator[tuple[Path, str, d.Retry]]:
    """What steps say about attempts in so many words: the place, the tool, the rules."""
    for name, step in subject.steps.items():
        calls = {("steps", name): step, ("steps", name, "compensate"): getattr(step, "compensate", None)}
        for place, call in calls.items():
            if isinstance(call, d.ToolStep | d.Compensate) and "retry" in call.model_fields_set:
                yield place, call.tool, call.retry


def _is_repeatable(tool: d.Tool) -> bool:
    """True if another attempt does no harm: by a key, or because the tool can find out about the one before."""
    return tool.effect not in ("lookup", "once") or (tool.effect == "lookup" and tool.lookup)


def _unreviewed_effect(subject: Subject) -> Iterator[Hit]:
    for path, step, name in _tools_named(subject):
        tool = subject.definition.tools.get(name)
        if tool is not None and tool.effect == "once" and not _is_reviewed(path, step):
            who = "an agent may call" if isinstance(step, d.AgentStep) else "the step calls"
            yield Hit(path, f"{who} {name!r}, which cannot be repeated or looked up, and nobody allows the call")


def _is_reviewed(path: Path, step: d.Step) -> bool:
    if isinstance(step, d.ToolStep) and path[2] == "compensate":
        return step.compensate is not None and bool(step.compensate.roles)
    return isinstance(step, d.ApprovalStep) or (isinstance(step, d.ToolStep) and step.approved_by is not None)


def _long_call(subject: Subject) -> Iterator[Hit]:
    for path, _, name in _tools_named(subject):
        tool = subject.definition.tools.get(name)
        if tool is not None and tool.timeout_ms > LONGEST_CALL_MS:
            yield Hit(path, f"one call of {name!r} may take {tool.timeout_ms // 1_000} s: that is a job, not a request")
    for name, step in subject.steps.items():
        if isinstance(step, d.AgentStep) and step.call_timeout_ms > LONGEST_CALL_MS:
            seconds = step.call_timeout_ms // 1_000
            yield Hit(
                ("steps", name, "call_timeout"), f"one model call may take {seconds} s: that is a job, not a request"
            )


def _missing_compensation(subject: Subject) -> Iterator[Hit]:
    for name, step in subject.steps.items():
        if not isinstance(step, d.ToolStep) or "compensate" in step.model_fields_set:
            continue
        tool = subject.definition.tools.get(step.tool)
        if tool is not None and tool.reversible:
            yield Hit(("steps", name), f"{step.tool!r} can be undone, and the step does not say how")


def _restore_without_reading(subject: Subject) -> Iterator[Hit]:
    for name, step in subject.steps.items():
        restore = step.compensate.restore if isinstance(step, d.ToolStep) and step.compensate is not None else None
        if restore is None:
            continue
        path = ("steps", name, "compensate", "restore", "read")
        reading = subject.steps.get(restore.read)
        tool = subject.definition.tools.get(reading.tool) if isinstance(reading, d.ToolStep) else None
        before = subject.certainty.before.get(name) if subject.certainty is not None else None
        if not isinstance(reading, d.ToolStep):
            yield Hit(path, f"{restore.read!r} is not a tool step of this definition")
        elif tool is not None and tool.effect != "read":
            yield Hit(path, f"{restore.read!r} calls {reading.tool!r}, whose effect is {tool.effect}, not read")
        elif before is not None and ("steps", restore.read) not in before:
            yield Hit(path, f"{restore.read!r} has not certainly been done before {name!r}")


TOOL_RULES: tuple[Rule[Subject], ...] = (
    Rule(
        name="no_such_tool",
        severity=Severity.ERROR,
        sentence="A step names a tool that no module declares.",
        cure="name the module that declares it in HOLDFAST_TOOL_MODULES",
        check=_no_such_tool,
        vital=True,
    ),
    Rule(
        name="unfit_argument",
        severity=Severity.ERROR,
        sentence=(
            "The arguments of a step can never fit the tool's schema: one is missing, unknown, a constant of the wrong "
            "form, or an expression of another type."
        ),
        cure="`arguments` must be what the tool's function takes",
        check=_unfit_argument,
    ),
    Rule(
        name="retry_without_key",
        severity=Severity.ERROR,
        sentence=(
            "A step asks for several attempts of a call that cannot be repeated: its effect is `once`, or `lookup` "
            "without a function that looks it up."
        ),
        cure=(
            "leave `max_attempts` out: attempts that certainly did nothing are made again all the same; or give the "
            "tool an idempotency key and the effect `keyed`"
        ),
        check=_retry_without_key,
    ),
    Rule(
        name="unreviewed_effect",
        severity=Severity.WARNING,
        sentence="A call that cannot be repeated (effect `once`) is made without a person's word.",
        cure="put an `approval` step before it and name that in `approved_by`; do not give the tool to an agent",
        check=_unreviewed_effect,
    ),
    Rule(
        name="long_call",
        severity=Severity.ERROR,
        sentence="One call may take longer than 15 minutes: long work does not belong into one request.",
        cure="let the tool start the work and return at once, and `wait` for the event that says it is done",
        check=_long_call,
    ),
    Rule(
        name="missing_compensation",
        severity=Severity.ERROR,
        sentence="A step makes a call that can be undone (`reversible`), and does not say how.",
        cure="give the step a `compensate`, or `compensate: none` if its effect is meant to stay whatever happens",
        check=_missing_compensation,
    ),
    Rule(
        name="restore_without_reading",
        severity=Severity.ERROR,
        sentence="`restore` puts a value back that the step it names has not certainly read before.",
        cure="put a `tool` step before it that calls a tool with the effect `read`, and name that in `restore.read`",
        check=_restore_without_reading,
    ),
)
