"""The support-ticket example: where it lies, its definition, and the people in it."""

import sys
from pathlib import Path

import holdfast.ops.cli
from holdfast.ops.errors import CommandError
from holdfast.schemas.record import Json
from holdfast.streams.core.definition import Definition
from holdfast.streams.definition_file import parse_definition
from holdfast.tools import registry_from_modules

NAME = "support_ticket"
TOOL_MODULE = f"{NAME}.tools"

TICKET_ID = "T-1001"
WORKFLOW_ID = "ticket-1001"
REPLY_EVENT = "customer.replied"
REPLY: Json = {"text": "A replacement, please."}
DESK = "ticket-system"
"""Who starts the workflow and hands in the customer's reply: a system, so that a person may approve."""
REVIEWER = "lea (demo)"


def examples_folder() -> Path:
    """The folder with all examples, in an installed package or in a checkout. Raises CommandError."""
    package = Path(holdfast.ops.cli.__file__).parent
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / NAME / "workflow.yaml").is_file():
            return folder
    raise CommandError("the support-ticket example is missing from this installation", cure="install holdfast again")


def load_definition(examples: Path) -> Definition:
    """The example's definition, with its tools pinned. Raises what the tools' registry and the parser raise."""
    sys.path.insert(0, str(examples))
    manifests = registry_from_modules([TOOL_MODULE]).manifests()
    file = examples / NAME / "workflow.yaml"
    text = file.read_text(encoding="utf-8")
    return parse_definition(text, str(file), {name: tool.to_json() for name, tool in manifests.items()})
