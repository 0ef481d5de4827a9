"""A schedule as text: YAML in, the definition that runs it and every finding with its line out.

A schedule is a workflow with one step. Its file says no more than that step does, and becomes the definition of that
workflow under the schedule's own name, so the rules about definitions hold for it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from holdfast.schemas.record import Json
from holdfast.streams.core.definition import Definition, ScheduleStep
from holdfast.streams.core.graph import Path
from holdfast.streams.core.lint.company_rules import Company, company_findings
from holdfast.streams.core.lint.rule import Problem
from holdfast.streams.core.startable import Startable
from holdfast.streams.definition_file import Document, Inspection, InvalidFile, Located, Place, read_document
from holdfast.streams.definition_set import accepted

STEP = "fire"
END = "over"
# A schedule goes on until somebody ends it, and every workflow has a deadline.
DEADLINE = "36500d"
INPUT: dict[str, Json] = {
    "type": "object",
    "properties": {"after_ms": {"type": "integer"}},
    "additionalProperties": False,
}
_OWN_KEYS = ("name", "purpose")
_STEP_KEYS = ("definition", "timing", "input")
_CURES = {"no_such_child": "`holdfast apply` its file first"}


def parse_schedules(
    texts: Mapping[str, str], startable: Mapping[str, Startable], other_names: Collection[str] = ()
) -> dict[str, Definition]:
    """The definitions of the workflows that are the schedules in several YAML texts, by file.

    Arguments: the texts by the name to show in messages, the definitions that can be started, by name, and the names of
    definitions that are no schedules. What a schedule starts is pinned into it. Raises InvalidFiles with every mistake
    of every text.
    """
    inspections: dict[str, Inspection] = {}
    files: dict[str, str] = {}
    for file, text in texts.items():
        try:
            document = read_document(text, file)
        except InvalidFile as exc:
            inspections[file] = Inspection(definition=None, findings=exc.problems)
            continue
        twin = files.setdefault(document.name, file)
        inspections[file] = _inspect(document, startable, other_names, "" if twin == file else twin)
    return accepted(inspections, list(texts))


def schedule_of(body: Json) -> ScheduleStep | None:
    """The step of a published definition that came from a schedule file; None if it is another definition."""
    steps = body.get("steps") if isinstance(body, dict) else None
    if not isinstance(steps, dict) or steps.keys() != {STEP, END}:
        return None
    try:
        return ScheduleStep.model_validate(steps[STEP])
    except ValidationError:
        return None


def _inspect(
    document: Document, startable: Mapping[str, Startable], other_names: Collection[str], twin: str
) -> Inspection:
    whole = _whole(document)
    inspection = whole.inspect({}, {name: known.hash for name, known in startable.items()})
    starts_itself = whole.name and whole.name in whole.starts().values()
    company = Company(
        name=whole.name,
        definition=inspection.definition,
        startable=startable,
        twin=twin,
        circles={STEP: (whole.name,)} if starts_itself else {},
    )
    added = [*company_findings(company), *_unknown_keys(document), *_taken_name(document, other_names)]
    found = [_in_file(at) for at in (*inspection.findings, *whole.located(added))]
    return Inspection(definition=inspection.definition, findings=tuple(sorted(found, key=Located.order)))


def _whole(document: Document) -> Document:
    """The definition that a schedule file stands for, with its values where the file has them."""
    said = document.data
    step = {"kind": "schedule", "next": END, **{key: said[key] for key in _STEP_KEYS if key in said}}
    data: dict[str, Any] = {
        **{key: said[key] for key in _OWN_KEYS if key in said},
        "input": INPUT,
        "deadline": DEADLINE,
        "start": STEP,
        "steps": {STEP: step, END: {"kind": "succeed"}},
    }
    moved = {_in_definition(path): place for path, place in document.places.items()}
    places: dict[Path, Place] = {**moved, ("steps", STEP): document.places[()]}
    doubled = tuple(map(_in_definition, document.doubled))
    return Document(file=document.file, data=data, places=places, doubled=doubled)


def _in_definition(path: Path) -> Path:
    return ("steps", STEP, *path) if path[:1] and path[0] in _STEP_KEYS else path


def _in_file(at: Located) -> Located:
    path, cure = at.problem.path, _CURES.get(at.problem.rule, at.problem.cure)
    path = path[2:] if path[:2] == ("steps", STEP) else path
    return replace(at, problem=replace(at.problem, path=path, cure=cure))


def _unknown_keys(document: Document) -> Iterator[Problem]:
    known = (*_OWN_KEYS, *_STEP_KEYS)
    for key in map(str, document.data):
        if key not in known:
            meant = next(iter(get_close_matches(key, known, n=1)), "")
            cure = f"did you mean `{meant}`?" if meant else f"the keys are {', '.join(known)}"
            yield Problem(path=(key,), message=f"there is no key `{key}` here", cure=cure, rule="unknown_key")


def _taken_name(document: Document, other_names: Collection[str]) -> Iterator[Problem]:
    if document.name in other_names:
        message = f"{document.name!r} is the name of a definition that is not a schedule"
        yield Problem(path=("name",), message=message, cure="choose another name", rule="taken_name")
