"""One line of a story: when, how long, what. Pure."""

from dataclasses import dataclass

from rich.text import Text

from holdfast.ops.event_text import duration, safe

GAP = "  "


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the story: when, how long (None: nothing to say), and what, indented by `depth`.

    `style` is that of the whole line, `weight` of `what` where there is none.
    """

    at_ms: int | None
    took_ms: int | None
    depth: int
    what: str
    detail: str
    style: str = ""
    weight: str = ""

    def cells(self, since_ms: int) -> tuple[str, str, Text, Text]:
        """The cells of its row: time since the workflow began, how long it took, what, and the detail."""
        return (
            "" if self.at_ms is None else f"+{duration(max(self.at_ms - since_ms, 0))}",
            "" if self.took_ms is None else duration(max(self.took_ms, 0)),
            Text(GAP * self.depth + safe(self.what), self.style or self.weight),
            Text(safe(self.detail), self.style),
        )
