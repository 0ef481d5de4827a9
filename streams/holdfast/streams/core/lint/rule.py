"""What a rule is, and what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from holdfast.streams.core.graph import Path

Checked = TypeVar("Checked")


class Severity(Enum):
    """`error`: the definition is refused. `warning`: it is accepted, and probably not what was meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where a rule is broken: the path in the definition, what is wrong there, and a cure that fits better
    than the rule's own."""

    path: Path
    message: str
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[Checked]):
    """One rule: a stable name, how bad a breach is, what it says, what to do, and the function that finds breaches.

    `vital` says that the engine could not run a definition that breaks it. Published definitions are asked for these
    rules alone: other rules may become stricter without touching workflows that run.
    """

    name: str
    severity: Severity
    sentence: str
    cure: str
    check: Callable[[Checked], Iterator[Hit]]
    vital: bool = False

    def findings(self, checked: Checked) -> Iterator["Problem"]:
        """Every breach, once."""
        for hit in dict.fromkeys(self.check(checked)):
            yield Problem(
                path=hit.path, message=hit.message, cure=hit.cure or self.cure, rule=self.name, severity=self.severity
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding: where it is in the definition, what is wrong, what to do about it, and which rule says so."""

    path: Path
    message: str
    cure: str
    rule: str
    severity: Severity = Severity.ERROR

    @property
    def is_error(self) -> bool:
        """True if the definition is refused for it."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'definition'}: {self.message} ({self.cure})"
