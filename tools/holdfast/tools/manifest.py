"""What a tool is, as plain data: the part of it that definitions pin and that approvals are bound to."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, cast, get_args

from holdfast.schemas import jsontext
from holdfast.schemas.record import Json

Effect = Literal["read", "txn", "keyed", "lookup", "once"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)
SEARCHABLE = frozenset({"txn", "keyed", "lookup"})
"""Effects of tools that may have a lookup: a call of which no trace is found is made again."""

_SEARCHABLE = ", ".join(effect for effect in EFFECTS if effect in SEARCHABLE)

# What OpenAI-compatible servers accept as a function name.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
DEFAULT_TIMEOUT_MS = 10_000
DEFAULT_MAX_ATTEMPTS = 3
# Fields that manifests had not from the beginning: one that does not use them keeps its hash.
_LATER = frozenset({"lookup", "visibility_lag_ms", "key_lifetime_ms", "reversible"})


class ManifestError(ValueError):
    """The data is not a manifest; the text says which field is wrong."""


@dataclass(frozen=True, kw_only=True)
class ToolManifest:
    """One tool.

    `effect` says what to do when nobody knows whether a call happened: `read` and `txn` are called again, `keyed` is
    called again with the same effect key, `lookup` is searched for first, `once` goes to a person. `lookup` says that
    the tool can search for traces of its calls, which are seen `visibility_lag_ms` after the effect at the latest; a
    tool that cannot leaves a call that must not be repeated to a person. `key_lifetime_ms` is how long the other side
    knows the key of a `keyed` call, 0 for ever: after that, a call of unknown outcome is not repeated any more.
    `reversible` says that another call can undo the effect, so steps are expected to say how. `timeout_ms` bounds one
    attempt, and one search; `max_attempts` bounds their number. The schemas are JSON Schema (draft 2020-12) of
    arguments and result. Raises ManifestError if a value is out of range.
    """

    name: str
    description: str
    effect: Effect
    input_schema: Mapping[str, Json]
    output_schema: Mapping[str, Json]
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    lookup: bool = False
    visibility_lag_ms: int = 0
    key_lifetime_ms: int = 0
    reversible: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ManifestError(f"tool name {self.name!r} must be a letter and then at most 63 of A-Z a-z 0-9 _ -")
        if self.effect not in EFFECTS:
            raise ManifestError(f"effect of {self.name} is {self.effect!r}, expected one of {', '.join(EFFECTS)}")
        if self.timeout_ms < 1 or self.max_attempts < 1:
            raise ManifestError(f"timeout_ms and max_attempts of {self.name} must be at least 1")
        if self.lookup and self.effect not in SEARCHABLE:
            raise ManifestError(f"{self.name} is {self.effect}: only calls of {_SEARCHABLE} are searched for")
        if self.visibility_lag_ms < 0 or (self.visibility_lag_ms and not self.lookup):
            raise ManifestError(f"visibility_lag_ms of {self.name} must be at least 0, and needs a lookup")
        if self.key_lifetime_ms < 0 or (self.key_lifetime_ms and self.effect != "keyed"):
            raise ManifestError(f"key_lifetime_ms of {self.name} must be at least 0, and only keyed calls have a key")
        if self.key_lifetime_ms and self.key_lifetime_ms < self.timeout_ms:
            raise ManifestError(f"key_lifetime_ms of {self.name} must not be shorter than one attempt (timeout_ms)")
        if self.reversible and self.effect == "read":
            raise ManifestError(f"{self.name} only reads: there is nothing to reverse")

    @cached_property
    def manifest_hash(self) -> str:
        """SHA-256 of the canonical JSON of everything else: a tool that changed has another hash."""
        return jsontext.digest(self._content())

    def to_json(self) -> dict[str, Json]:
        """The fields and the `manifest_hash`, as a JSON object; without a lookup, nothing is said about one."""
        return {**self._content(), "manifest_hash": self.manifest_hash}

    def _content(self) -> dict[str, Json]:
        return {name: value for name, value in asdict(self).items() if value or name not in _LATER}

    @classmethod
    def from_json(cls, value: Json) -> "ToolManifest":
        """The inverse of `to_json`. Raises ManifestError, also if the `manifest_hash` belongs to other content."""
        if not isinstance(value, dict):
            raise ManifestError("a manifest is a JSON object")
        fields = {key: field for key, field in value.items() if key != "manifest_hash"}
        try:
            manifest = cls(**cast("dict[str, Any]", fields))
        except TypeError as exc:
            raise ManifestError(f"not the fields of a manifest: {exc}") from exc
        if value.get("manifest_hash", manifest.manifest_hash) != manifest.manifest_hash:
            raise ManifestError(f"the manifest of {manifest.name} was changed: its hash does not fit its content")
        return manifest
