"""Lines made of characters: which box-drawing character has which arms, light or heavy. Read from Unicode's names."""

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

LIGHT, HEAVY = 1, 2

_FIRST, _LAST = 0x2500, 0x257F
_SIDES = {
    "UP": ("up",),
    "DOWN": ("down",),
    "LEFT": ("left",),
    "RIGHT": ("right",),
    "VERTICAL": ("up", "down"),
    "HORIZONTAL": ("left", "right"),
}
_WEIGHTS = {"LIGHT": LIGHT, "HEAVY": HEAVY}


class Arms(NamedTuple):
    """How thick a character is towards each side: 0, LIGHT or HEAVY."""

    up: int = 0
    down: int = 0
    left: int = 0
    right: int = 0

    def joined(self, other: "Arms") -> "Arms":
        """The arms of both; the thicker one where both have one."""
        return Arms(*map(max, self, other))

    def within(self, other: "Arms") -> bool:
        """True if the other has all of these arms, as thick or thicker."""
        return self.joined(other) == other


def stroke(arms: Arms) -> str:
    """The character with these arms; a blank if there are none."""
    return _strokes()[arms]


@cache
def _strokes() -> Mapping[Arms, str]:
    found = {Arms(): " "}
    for code in range(_FIRST, _LAST + 1):
        words = unicodedata.name(chr(code)).removeprefix("BOX DRAWINGS ").split()
        if set(words) <= {*_SIDES, *_WEIGHTS, "AND"}:
            found.setdefault(_arms(words), chr(code))
    return found


def _arms(words: list[str]) -> Arms:
    """`LIGHT DOWN AND RIGHT`, `DOWN HEAVY AND LEFT UP LIGHT`: a weight stands before or after its sides."""
    sides: dict[str, int] = {}
    for part in " ".join(words).split(" AND "):
        sides.update(_sides(part.split()))
    if words[0] in _WEIGHTS and not set(words[1:]) & _WEIGHTS.keys():
        sides = dict.fromkeys(sides, _WEIGHTS[words[0]])
    return Arms(**sides)


def _sides(words: list[str]) -> Iterator[tuple[str, int]]:
    weight = next((_WEIGHTS[word] for word in words if word in _WEIGHTS), LIGHT)
    for word in words:
        for side in _SIDES.get(word, ()):
            yield side, weight
