"""Rules about the form of a definition file: what can be said before it is a definition."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from holdfast.streams.core import definition as d
from holdfast.streams.core.graph import Path
from holdfast.streams.core.lint.rule import Hit, Problem, Rule, Severity

SIZE_LIMIT_BYTES = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """One value that the models do not take: its place, the kind of its step (empty outside of steps), pydantic's
    type of error and sentence."""

    path: Path
    kind: str
    type: str
    message: str

    @property
    def key(self) -> str:
        """The key that the models complain about, whether it is there or not."""
        return str(self.path[-1]) if self.path else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What reading a file came to: its size, what is wrong with its syntax, and what the models do not take."""

    size_bytes: int = 0
    syntax_error: str = ""
    is_mapping: bool = True
    doubled: tuple[Path, ...] = ()
    malformed: tuple[Malformed, ...] = ()


def malformed(exc: ValidationError) -> tuple[Malformed, ...]:
    """What pydantic found wrong with a definition."""
    found = []
    for error in exc.errors():
        path, kind = tuple(error["loc"]), ""
        # pydantic puts the name of the chosen step kind into the path: steps, name, kind, field
        if len(path) > 2 and path[0] == "steps":
            path, kind = (*path[:2], *path[3:]), str(path[2])
        message = error["msg"].removeprefix("Value error, ")
        found.append(Malformed(path=path, kind=kind, type=error["type"], message=message))
    return tuple(found)


def form_findings(form: Form) -> Iterator[Problem]:
    """Everything that the rules say about the form of a file."""
    for rule in FORM_RULES:
        yield from rule.findings(form)


def _too_large(form: Form) -> Iterator[Hit]:
    if form.size_bytes > SIZE_LIMIT_BYTES:
        yield Hit((), f"the file has {form.size_bytes} bytes, more than {SIZE_LIMIT_BYTES}")


def _not_yaml(form: Form) -> Iterator[Hit]:
    if form.syntax_error:
        yield Hit((), f"not YAML: {form.syntax_error}")


def _not_a_mapping(form: Form) -> Iterator[Hit]:
    if not form.is_mapping:
        yield Hit((), "the file is not a mapping")


def _doubled_key(form: Form) -> Iterator[Hit]:
    for path in form.doubled:
        yield Hit(path, f"{path[-1]!r} is given twice in one place, and the first one would be lost")


def _missing_deadline(form: Form) -> Iterator[Hit]:
    for found in form.malformed:
        if _is_missing_deadline(found):
            yield Hit(found.path, "the workflow has no `deadline`, so it could go on for ever")


def _missing_timeout(form: Form) -> Iterator[Hit]:
    for found in form.malformed:
        if _is_missing_timeout(found):
            yield Hit(found.path, f"this `{found.kind}` step has no `timeout`, so it could wait for ever")


def _no_reviewers(form: Form) -> Iterator[Hit]:
    for found in form.malformed:
        if _is_about_reviewers(found):
            yield Hit(found.path, "the approval names nobody who may decide")


def _unknown_kind(form: Form) -> Iterator[Hit]:
    for found in form.malformed:
        if found.type == "union_tag_not_found":
            yield Hit(found.path, "the step has no `kind`")
        elif found.type == "union_tag_invalid":
            yield Hit(found.path, found.message)


def _missing_key(form: Form) -> Iterator[Hit]:
    for found in form.malformed:
        special = _is_missing_deadline(found) or _is_missing_timeout(found) or _is_about_reviewers(found)
        if found.type == "missing" and not special:
            yield Hit(found.path, f"`{found.key}` is missing")


def _unknown_key(form: Form) -> Iterator[Hit]:
    for found in form.malformed:
        if found.type == "extra_forbidden":
            meant, known = meant_key(found), ", ".join(_keys_near(found))
            cure = f"did you mean `{meant}`?" if meant else f"the keys are {known}" if known else ""
            yield Hit(found.path, f"there is no key `{found.key}` here", cure)


def _bad_value(form: Form) -> Iterator[Hit]:
    for found in form.malformed:
        known = found.type in ("missing", "extra_forbidden", "union_tag_not_found", "union_tag_invalid")
        if not known and not _is_missing_deadline(found) and not _is_about_reviewers(found):
            yield Hit(found.path, found.message)


def _is_missing_deadline(found: Malformed) -> bool:
    return found.path == ("deadline",) and found.type in ("missing", "greater_than")


def _is_missing_timeout(found: Malformed) -> bool:
    return found.type == "missing" and found.path[2:] == ("timeout",)


def _is_about_reviewers(found: Malformed) -> bool:
    types = ("missing", "too_short", "string_pattern_mismatch")
    return found.kind == "approval" and found.path[2:3] == ("roles",) and found.type in types


_STEP_MODELS: Mapping[str, type[BaseModel]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(get_args(d.Step)[0])
}


def _keys_near(found: Malformed) -> list[str]:
    """The keys that a step, or the definition, may have; empty for the inside of other values."""
    if len(found.path) == 1:
        model: type[BaseModel] | None = d.Definition
    else:
        model = _STEP_MODELS.get(found.kind) if len(found.path) == 3 else None
    return [field.alias or name for name, field in model.model_fields.items()] if model is not None else []


def meant_key(found: Malformed) -> str:
    """The key that was probably meant by one that does not exist; empty if nothing comes near."""
    return next(iter(get_close_matches(found.key, _keys_near(found), n=1)), "")


# What stands in for a value that is missing or wrong, so that the rest can be looked at: nothing else depends on it.
_FILLERS: Mapping[str, Any] = {
    "name": "unnamed",
    "deadline": "36500d",
    "timeout": "1ms",
    "roles": ["anybody"],
    "instructions": "",
    "event": "any",
}
_HARMLESS = frozenset(
    {"purpose", "retry", "max_steps", "max_turns", "max_repairs", "max_output_tokens", "call_timeout"}
)
"""Keys that can be left out without a change to what the other rules say."""


def mended(data: Mapping[str, Any], found: Sequence[Malformed]) -> dict[str, Any] | None:
    """The data of a definition with its malformed values replaced or left out; None if more depends on them."""
    copy = {**data}
    if isinstance(data.get("steps"), dict):
        copy["steps"] = {name: {**s} if isinstance(s, dict) else s for name, s in data["steps"].items()}
    return copy if all(_mend(copy, one) for one in found) else None


def _mend(data: dict[str, Any], found: Malformed) -> bool:
    top = len(found.path) == 1 or found.path[0] != "steps"
    place: Any = data if top else data["steps"].get(found.path[1])
    if not found.path or not isinstance(place, dict) or (not top and len(found.path) < 3):
        return False
    key = str(found.path[0] if top else found.path[2])
    if found.type == "extra_forbidden":
        return _mend_unknown(place, found, key)
    if key in _FILLERS:
        place[key] = _FILLERS[key]
        return True
    if key in _HARMLESS:
        place.pop(key, None)
        return True
    return False


def _mend_unknown(place: dict[str, Any], found: Malformed, key: Any) -> bool:
    if found.key != key:
        return False  # deep inside a value
    value, meant = place.pop(key, None), meant_key(found)
    if meant and meant not in place:
        place[meant] = value
    return True


def _about_text(name: str, sentence: str, cure: str, check: Callable[[Form], Iterator[Hit]]) -> Rule[Form]:
    return Rule(name=name, severity=Severity.ERROR, sentence=sentence, cure=cure, check=check)


def _about_values(name: str, sentence: str, cure: str, check: Callable[[Form], Iterator[Hit]]) -> Rule[Form]:
    return Rule(name=name, severity=Severity.ERROR, sentence=sentence, cure=cure, check=check, vital=True)


FORM_RULES: tuple[Rule[Form], ...] = (
    _about_text("too_large", "The file is larger than 1 MiB.", "keep large values in a store of your own", _too_large),
    _about_text("not_yaml", "The text is not YAML.", "correct the syntax", _not_yaml),
    _about_text("not_a_mapping", "The file is not a mapping of keys to values.", "begin with `name:`", _not_a_mapping),
    _about_text(
        "doubled_key",
        "A key is given twice in one place; YAML would take the last one and lose the others.",
        "rename one of them",
        _doubled_key,
    ),
    _about_values(
        "missing_deadline",
        "The workflow has no `deadline`: nothing goes on for ever.",
        "add `deadline`, such as 2h or 30d",
        _missing_deadline,
    ),
    _about_values(
        "missing_timeout",
        "A step that waits for something (`wait`, `approval`, `parallel`, `map`, `child`) has no `timeout`.",
        "add `timeout`, such as 30s, 12h or 7d, and `catch: {timeout: STEP}` for what then happens",
        _missing_timeout,
    ),
    _about_values(
        "no_reviewers",
        "An approval names no role that may decide.",
        "name at least one under `roles`",
        _no_reviewers,
    ),
    _about_values(
        "unknown_kind", "A step has no `kind`, or one that does not exist.", "use one of the known kinds", _unknown_kind
    ),
    _about_values("missing_key", "A key that must be there is missing.", "add it", _missing_key),
    _about_values("unknown_key", "A key does not exist.", "delete it, or check its spelling", _unknown_key),
    _about_values("bad_value", "A value has a form that its key does not take.", "correct the value", _bad_value),
)
