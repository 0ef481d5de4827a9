"""The files under `docs` that are made from the code: run as a program, writes them."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from holdfast.ops.graph import svg
from holdfast.ops.graph.flow import diagram_of
from holdfast.streams.definition_file import read_document
from support import state_diagram, step_kinds
from support.tidy import ROOT

COMMAND = "PYTHONPATH=tests .venv/bin/python -m support.documents"


def example() -> str:
    """The definition that stands in the README, as a picture."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    definition = read_document(text, "README.md").inspect({}, {}).definition
    assert definition is not None, "the README's definition is well-formed"
    return svg.render(diagram_of(definition))


MADE: Mapping[str, Callable[[], str]] = {
    state_diagram.PICTURE: state_diagram.render,
    step_kinds.PAGE: step_kinds.render,
    "docs/refund.svg": example,
}


def write(root: Path) -> list[str]:
    """Write those that are not what they should be; returns their names."""
    changed = []
    for name, render in MADE.items():
        file, wanted = root / name, render()
        if not file.exists() or file.read_text(encoding="utf-8") != wanted:
            file.write_text(wanted, encoding="utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    sys.stdout.write("".join(f"wrote {name}\n" for name in write(ROOT)) or "everything is as it should be\n")
