"""What a limit is about: tasks by class, tenant and definition."""

import re
from dataclasses import dataclass
from typing import NamedTuple

EACH = "*"
KINDS = ("model", "tool")
FORMS = "model, tool, model:NAME, tool:NAME, tenant:NAME and definition:NAME, several of them joined by commas"
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}|\*")


class ScopeError(ValueError):
    """A text that names no scope; the message says why."""


class Place(NamedTuple):
    """Where a task belongs: tenant, class (`model` or `tool`, and the name of the model or tool) and definition."""

    tenant: str
    kind: str
    name: str
    definition: str

    @property
    def task_class(self) -> str:
        """The class as text, such as `tool:send_email`."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Scope:
    """Tasks that are counted together. An empty part says nothing; `*` counts each value of that part separately.

    As text: `tool:send_email`, `tenant:*`, `model,tenant:acme`, `tool:send_email,definition:refund`.
    """

    kind: str = ""
    name: str = ""
    tenant: str = ""
    definition: str = ""

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope that a text names, its parts in any order. Raises ScopeError."""
        parts: dict[str, str] = {}
        for part in text.split(","):
            word, colon, value = part.strip().partition(":")
            if word in KINDS:
                found = {"kind": word, "name": value}
            elif word in ("tenant", "definition"):
                found = {word: value}
            else:
                raise ScopeError(f"{part.strip() or 'nothing'!r} names no tasks: it may be {FORMS}")
            if (colon or word not in KINDS) and not _VALUE.fullmatch(value):
                raise ScopeError(f"{part.strip()!r} needs a name after the colon, or * for each one")
            if parts.keys() & found.keys():
                raise ScopeError(f"{text!r} names the {'class' if word in KINDS else word} twice")
            parts |= found
        return cls(**parts)

    def __str__(self) -> str:
        named = (
            (f"{self.kind}:{self.name}" if self.name else self.kind),
            f"tenant:{self.tenant}" if self.tenant else "",
            f"definition:{self.definition}" if self.definition else "",
        )
        return ",".join(part for part in named if part)

    def of(self, place: Place) -> "Scope | None":
        """The scope that a task is counted under, with each `*` replaced; None if the scope is not about it."""
        if self.kind not in ("", place.kind) or not (
            _covers(self.name, place.name)
            and _covers(self.tenant, place.tenant)
            and _covers(self.definition, place.definition)
        ):
            return None
        return Scope(
            kind=self.kind,
            name=place.name if self.name else "",
            tenant=place.tenant if self.tenant else "",
            definition=place.definition if self.definition else "",
        )

    @property
    def general(self) -> int:
        """How many parts stand for each value of theirs: of two scopes about one task, fewer is more exact."""
        return (self.name, self.tenant, self.definition).count(EACH)


def _covers(part: str, value: str) -> bool:
    return part in ("", value) or (part == EACH and bool(value))
