"""Rules about expressions: that they compile, that what they read exists, and that its type is right."""

from collections.abc import Iterator, Mapping
from itertools import chain

from holdfast.streams.core import definition as d
from holdfast.streams.core.lint.graph_rules import names_of_steps, place_of
from holdfast.streams.core.lint.reads import Read
from holdfast.streams.core.lint.rule import Hit, Rule, Severity
from holdfast.streams.core.lint.shapes import Kind, Shape
from holdfast.streams.core.lint.subject import Subject
from holdfast.streams.core.lint.typed import Mismatch, UnknownField
from holdfast.streams.core.sites import Site, Use, templates, unclosed
from holdfast.streams.core.times import parse_time_ms


def _bad_expression(subject: Subject) -> Iterator[Hit]:
    for path, sentence in unclosed(subject.definition):
        yield Hit(path, sentence, "close the placeholder with }")
    for site in subject.sites:
        if error := subject.compile_error(site):
            yield Hit(site.path, error)


def _each_read(subject: Subject) -> Iterator[tuple[Site, Read]]:
    for site in subject.compiling_sites:
        yield from ((site, read) for read in subject.reads(site))


def _reads_of_steps(subject: Subject) -> Iterator[tuple[Site, Read, str]]:
    """Every read of something of a step, with the step's name."""
    for site, read in _each_read(subject):
        if len(read.path) > 1 and read.path[0] == "steps":
            yield site, read, read.path[1]


def _unknown_output(subject: Subject) -> Iterator[Hit]:
    for site, _, name in _reads_of_steps(subject):
        if name not in subject.steps:
            yield Hit(site.path, f"`{site.source}` reads step {name!r}, which does not exist", names_of_steps(subject))


def _output_out_of_sight(subject: Subject) -> Iterator[Hit]:
    for site, _, name in _reads_of_steps(subject):
        if _out_of_sight(subject, site.step, name):
            place = place_of(subject.homes[name][0])
            yield Hit(site.path, f"`{site.source}` reads step {name!r} of {place}, which cannot be seen from here")


def _out_of_sight(subject: Subject, reader: str, name: str) -> bool:
    own, other = (next(iter(subject.homes.get(step, ())), None) for step in (reader, name))
    return own is not None and other is not None and not own.sees(other)


def _not_sure(subject: Subject) -> Iterator[tuple[Site, str]]:
    """Every read of a step, in sight, that has not certainly completed by then."""
    for site, read, name in _reads_of_steps(subject):
        known = subject.known_at(site)
        if known is None or name not in subject.steps or _out_of_sight(subject, site.step, name):
            continue
        if not read.is_sure_of(2, known):
            yield site, name


def _can_have_run(subject: Subject, site: Site, name: str) -> bool:
    assert subject.certainty is not None
    return subject.certainty.can_come_before(name, site.step)


def _output_of_later_step(subject: Subject) -> Iterator[Hit]:
    for site, name in _not_sure(subject):
        if not _can_have_run(subject, site, name):
            yield Hit(site.path, f"`{site.source}` reads step {name!r}, which has never completed by then")


def _maybe_missing(subject: Subject) -> Iterator[Hit]:
    for site, name in _not_sure(subject):
        if _can_have_run(subject, site, name):
            yield Hit(
                site.path,
                f"`{site.source}` reads step {name!r}, which has not completed on every path to here",
                f"ask first: `has(steps.{name}) && ...`; or give each path a step of its own",
            )
    for site, read in _each_read(subject):
        known = subject.known_at(site)
        if known is not None and _is_variable(subject, site, read) and not read.is_sure_of(2, known):
            name = read.path[1]
            yield Hit(
                site.path,
                f"`{site.source}` reads the variable {name!r}, which is not set on every path to here",
                f"set it in an `assign` step near the start, or ask first: `has(vars.{name})`",
            )


def _is_variable(subject: Subject, site: Site, read: Read) -> bool:
    fields = subject.environment(subject.row_of(site.step)).variables["vars"].fields or {}
    return len(read.path) > 1 and read.path[0] == "vars" and read.path[1] in fields


def _no_such_variable(subject: Subject) -> Iterator[Hit]:
    for site, owner, name in _unknown_names(subject):
        if owner.label == "vars":
            yield Hit(
                site.path, f"`{site.source}` reads the variable {name!r}, which no `assign` step sets", _known(owner)
            )


def _no_such_field(subject: Subject) -> Iterator[Hit]:
    for site, owner, name in _unknown_names(subject):
        if owner.label != "vars":
            yield Hit(site.path, f"`{site.source}` reads {name!r}, which `{owner.label}` does not have", _known(owner))


def _unknown_names(subject: Subject) -> Iterator[tuple[Site, Shape, str]]:
    """Names that a shape does not have: those that the checker finds, and those in `object["name"]`."""
    for site in subject.compiling_sites:
        found = {
            (mistake.owner, mistake.field): None
            for mistake in subject.verdict(site).mistakes
            if isinstance(mistake, UnknownField)
        }
        found |= dict.fromkeys(chain.from_iterable(_missing(subject, site, read) for read in subject.reads(site)))
        # Steps that do not exist have a rule of their own.
        yield from ((site, owner, name) for owner, name in found if owner.label != "steps")


def _missing(subject: Subject, site: Site, read: Read) -> Iterator[tuple[Shape, str]]:
    for owner, name in _owners(subject, site, read):
        if owner.fields is not None and name not in owner.fields:
            yield owner, name


def _owners(subject: Subject, site: Site, read: Read) -> Iterator[tuple[Shape, str]]:
    """The objects along a path as far as their shapes are known, each with the name that is read of it."""
    shape = subject.environment(subject.row_of(site.step)).variables.get(read.path[0])
    for name in read.path[1:]:
        if shape is None or shape.fields is None:
            return
        yield shape, name
        field = shape.fields.get(name)
        shape = field.shape if field is not None else None


def _known(owner: Shape) -> str:
    names = ", ".join(owner.fields or ()) or "none"
    return f"`{owner.label}` has: {names}"


def _optional_field(subject: Subject) -> Iterator[Hit]:
    for site, read in _each_read(subject):
        known = subject.known_at(site)
        if known is None:
            continue
        for length, (owner, name) in enumerate(_owners(subject, site, read), start=2):
            field = (owner.fields or {}).get(name)
            if field is not None and not field.required and not read.is_sure_of(length, known):
                path = ".".join(read.path[:length])
                yield Hit(
                    site.path,
                    f"`{site.source}` reads {name!r}, which `{owner.label}` may lack",
                    f"list it under `required` in the schema, or ask first: `has({path})`",
                )


def _type_mismatch(subject: Subject) -> Iterator[Hit]:
    for site in subject.compiling_sites:
        for mistake in subject.verdict(site).mistakes:
            if isinstance(mistake, Mismatch):
                yield Hit(site.path, f"`{site.source}`: {mistake.text}")


def _not_a_condition(subject: Subject) -> Iterator[Hit]:
    for site in subject.compiling_sites:
        kind = subject.verdict(site).kind
        if site.use is Use.CONDITION and kind not in (Kind.TRUTH, Kind.ANY):
            yield Hit(site.path, f"`{site.source}` gives {_name_of(kind)}, not true or false: it would never hold")


def _not_json(subject: Subject) -> Iterator[Hit]:
    for site in subject.compiling_sites:
        verdict = subject.verdict(site)
        if site.use is not Use.CONDITION and verdict.kind is None:
            yield Hit(site.path, f"`{site.source}` gives a {verdict.written}, which is not JSON")


def _name_of(kind: Kind | None) -> str:
    return kind.value if kind is not None else "a value that is not JSON"


# What a step's field must give; other fields take any value.
_WANTED: Mapping[tuple[type, str], frozenset[Kind]] = {
    (d.MapStep, "items"): frozenset({Kind.LIST, Kind.OBJECT}),
    (d.SleepStep, "until"): frozenset({Kind.WHOLE, Kind.TEXT}),
}


def _unfit_value(subject: Subject) -> Iterator[Hit]:
    for path, template in templates(subject.definition):
        _, name, field = path
        wanted = _WANTED.get((type(subject.steps[str(name)]), str(field)))
        if wanted is None or not isinstance(template, str):
            continue
        sites = [site for site in subject.sites_of.get(str(name), ()) if site.path == path]
        if any(subject.compile_error(site) for site in sites) or ("${" in template and not sites):
            continue  # said elsewhere
        if not sites and field == "until" and not _is_time(template):
            yield Hit(path, f"{template!r} is not a time", "write 2026-03-29T09:00:00+02:00")
        given = {subject.verdict(site).kind if site.use is Use.VALUE else Kind.TEXT for site in sites} or {Kind.TEXT}
        for kind in given - wanted - {Kind.ANY}:
            expected = " or ".join(sorted(other.value for other in wanted))
            yield Hit(path, f"`{field}` must be {expected}, and this gives {_name_of(kind)}")


def _is_time(text: str) -> bool:
    try:
        parse_time_ms(text)
    except ValueError:
        return False
    return True


def _prompt_of_everything(subject: Subject) -> Iterator[Hit]:
    for site, read in _each_read(subject):
        asked = isinstance(subject.steps[site.step], d.AgentStep) and site.use is not Use.CONDITION
        if asked and read.path in (("steps",), ("vars",)):
            yield Hit(site.path, f"`{site.source}` puts everything that the workflow has into the prompt")


EXPRESSION_RULES: tuple[Rule[Subject], ...] = (
    Rule(
        name="bad_expression",
        severity=Severity.ERROR,
        sentence="A text between `${` and `}`, or a condition, is not a CEL expression, whatever the data.",
        cure="correct it; the variables are input, steps, vars and workflow",
        check=_bad_expression,
        vital=True,
    ),
    Rule(
        name="unknown_output",
        severity=Severity.ERROR,
        sentence="An expression reads a step that does not exist.",
        cure="correct the name",
        check=_unknown_output,
    ),
    Rule(
        name="output_out_of_sight",
        severity=Severity.ERROR,
        sentence="An expression reads a step that runs elsewhere: in a sibling branch, in items, or outside of them.",
        cure="pass what is needed as `shared` into items, and as the output of their `succeed` step out",
        check=_output_out_of_sight,
    ),
    Rule(
        name="output_of_later_step",
        severity=Severity.ERROR,
        sentence="An expression reads a step that has never completed when the expression is evaluated.",
        cure="read a step that comes before",
        check=_output_of_later_step,
    ),
    Rule(
        name="maybe_missing",
        severity=Severity.WARNING,
        sentence="An expression reads a step or a variable that only some of the paths to it have completed or set.",
        cure="ask first: `has(steps.NAME) && ...`",
        check=_maybe_missing,
    ),
    Rule(
        name="no_such_field",
        severity=Severity.ERROR,
        sentence=(
            "An expression reads a name that the declared schema does not have: of the input, of a step's output, of "
            "`workflow`. A schema that lists `properties` has no others, unless it says `additionalProperties`."
        ),
        cure="correct the name, or declare it under `properties`; `additionalProperties: true` allows every name",
        check=_no_such_field,
    ),
    Rule(
        name="no_such_variable",
        severity=Severity.ERROR,
        sentence="An expression reads a variable that no `assign` step sets. Items of a `map` have their own.",
        cure="correct the name, or set it",
        check=_no_such_variable,
    ),
    Rule(
        name="optional_field",
        severity=Severity.WARNING,
        sentence="An expression reads a name that the declared schema does not require, so it may be absent.",
        cure="list it under `required` in the schema, or ask first: `has(...)`",
        check=_optional_field,
    ),
    Rule(
        name="type_mismatch",
        severity=Severity.ERROR,
        sentence="An operator or a function is applied to types that it does not take, by the declared schemas.",
        cure="convert with `int(...)`, `double(...)` or `string(...)`, or correct the schema",
        check=_type_mismatch,
    ),
    Rule(
        name="not_a_condition",
        severity=Severity.ERROR,
        sentence="A `when` or `check` gives something other than true or false, so it never holds.",
        cure="compare it with something",
        check=_not_a_condition,
    ),
    Rule(
        name="unfit_value",
        severity=Severity.ERROR,
        sentence="A field gets a value of the wrong kind: `items` of a `map` is a list, `until` of a `sleep` a time.",
        cure="correct the expression",
        check=_unfit_value,
    ),
    Rule(
        name="not_json",
        severity=Severity.ERROR,
        sentence="An expression gives a value that JSON has no type for: a timestamp, a duration, bytes.",
        cure="wrap it in `string(...)`",
        check=_not_json,
    ),
    Rule(
        name="prompt_of_everything",
        severity=Severity.ERROR,
        sentence="The prompt of an agent takes all of `steps` or `vars`: it grows with the workflow, needed or not.",
        cure="name the values that the agent needs",
        check=_prompt_of_everything,
    ),
)
