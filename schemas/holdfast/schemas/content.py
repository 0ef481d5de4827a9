"""References to bodies in the content store: they stand in events, rows and inputs for what is too large for those."""

import re
from dataclasses import dataclass

from holdfast.schemas.record import Json

CONTENT = re.compile(r"sha256:[0-9a-f]{64}")
_KEYS = frozenset({"content", "bytes", "lines"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentReference:
    """What a body is found by, and what it is: `sha256:<hex>`, its size and, if it is JSON lines, their number."""

    content: str
    size_bytes: int
    lines: int | None = None

    def to_json(self) -> dict[str, Json]:
        """As people and events write it: `{"content", "bytes"}`, and `lines` where they are known."""
        known: dict[str, Json] = {"content": self.content, "bytes": self.size_bytes}
        return known if self.lines is None else {**known, "lines": self.lines}

    @classmethod
    def from_json(cls, value: Json) -> "ContentReference":
        """The inverse of `to_json`. Raises ValueError with a sentence if the value is not a reference."""
        if not isinstance(value, dict) or not {"content", "bytes"} <= value.keys() <= _KEYS:
            raise ValueError('a reference has the keys "content", "bytes" and, for JSON lines, "lines"')
        content, size, lines = value["content"], value["bytes"], value.get("lines")
        if not isinstance(content, str) or not CONTENT.fullmatch(content):
            raise ValueError('"content" of a reference is "sha256:" and 64 hexadecimal digits')
        if not _is_count(size) or not (lines is None or _is_count(lines)):
            raise ValueError('"bytes" and "lines" of a reference are whole numbers')
        return cls(content=content, size_bytes=size, lines=lines)  # type: ignore[arg-type]


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
