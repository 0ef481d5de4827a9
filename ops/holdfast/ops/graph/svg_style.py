"""How SVG pictures look: fonts with the room that they need, and the style sheet, in light and dark. Pure."""

import unicodedata
from string import Template
from typing import NamedTuple


class Font(NamedTuple):
    """A kind of text: its size and the height of a line of it, in pixels, and how broad it is beside a regular one."""

    size: int
    line: int
    broad: float = 1.0


HEADING, TITLE, LINE, LABEL = Font(15, 24, 1.1), Font(13, 18, 1.1), Font(11, 15), Font(11, 14)

# Of the size of the font; a little more than most fonts need, as nobody knows which one there will be.
_NARROW, _USUAL, _BROAD, _FULL = 0.36, 0.6, 0.82, 1.1
_NARROW_CHARACTERS = frozenset("fijlrtI .,:;'|!()[]/")
_BROAD_CHARACTERS = frozenset("mwMW@%&+=<>\u00d7\u2026")


def text_width(text: str, font: Font) -> int:
    """How wide a text is at most, in pixels: an estimate that suits common sans-serif fonts."""
    return round(sum(map(_width, text)) * font.size * font.broad + 0.5)


def _width(character: str) -> float:
    if character in _NARROW_CHARACTERS:
        return _NARROW
    if unicodedata.east_asian_width(character) in "WF":
        return _FULL
    return _BROAD if character in _BROAD_CHARACTERS or character.isupper() else _USUAL


_SHAPES = Template("""
text { font: ${line}px ui-sans-serif, system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
.heading { font-size: ${heading}px; font-weight: 600; }
.name { font-size: ${title}px; font-weight: 600; }
.label { text-anchor: middle; }
.shape { stroke-width: 1.2; }
.running .shape, .waiting .shape { stroke-width: 2.6; }
.skipped .shape { stroke-dasharray: 4 3; }
.flow .shape { stroke-dasharray: 2 3; stroke-width: 1.2; }
.line { fill: none; stroke-width: 1.3; }
.taken .line { stroke-width: 2.4; }
""").substitute(line=LINE.size, title=TITLE.size, heading=HEADING.size)

_COLOURS = Template("""
.paper { fill: $paper; }
text { fill: $quiet; }
.heading, .name { fill: $ink; }
.shape { fill: $box; stroke: $edge; }
.flow .shape { fill: $paper; stroke: $edge; }
.line { stroke: $wire; }
.head { fill: $wire; }
.exceptional .line { stroke: $amber; }
.exceptional .head { fill: $amber; }
.taken .line { stroke: $done; }
.taken .head { fill: $done; }
.taken.label { fill: $ink; }
.entry .shape { fill: $ink; stroke: none; }
.stripe { fill: $other; }
.agent .stripe { fill: $violet; }
.tool .stripe { fill: $blue; }
.approval .stripe { fill: $amber; }
.wait .stripe, .sleep .stripe { fill: $teal; }
.succeed .shape { stroke: $done; }
.fail .shape { stroke: $red; }
.done .stripe { fill: $done; }
.failed .stripe { fill: $red; }
.running .stripe { fill: $blue; }
.waiting .stripe { fill: $violet; }
.cancelled .stripe { fill: $amber; }
.ahead .stripe, .skipped .stripe { fill: $edge; }
.done .shape { stroke: $done; }
.running .shape { stroke: $blue; }
.waiting .shape { stroke: $violet; }
.failed .shape { stroke: $red; }
.cancelled .shape { stroke: $amber; }
.done .state { fill: $done; }
.running .state { fill: $blue; }
.waiting .state { fill: $violet; }
.failed .state { fill: $red; }
.cancelled .state { fill: $amber; }
.skipped .name { fill: $quiet; }
""")
_LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "quiet": "#59636e",
    "box": "#f6f8fa",
    "edge": "#afb8c1",
    "wire": "#818b98",
    "other": "#818b98",
    "violet": "#8250df",
    "blue": "#0969da",
    "amber": "#9a6700",
    "teal": "#1b7c83",
    "done": "#1a7f37",
    "red": "#cf222e",
}
_DARK = {
    "paper": "#0d1117",
    "ink": "#f0f6fc",
    "quiet": "#9198a1",
    "box": "#161b22",
    "edge": "#3d444d",
    "wire": "#7d8590",
    "other": "#7d8590",
    "violet": "#ab7df8",
    "blue": "#4493f8",
    "amber": "#d29922",
    "teal": "#39c5cf",
    "done": "#3fb950",
    "red": "#f85149",
}
STYLE = (
    _SHAPES + _COLOURS.substitute(_LIGHT) + "@media (prefers-color-scheme: dark) {" + _COLOURS.substitute(_DARK) + "}\n"
)
