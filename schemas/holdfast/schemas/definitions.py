"""What workflows run by.

Each class mirrors the newest version of its `.avsc` in `avro/definitions/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json, Record

NAMESPACE = "holdfast.definition.v1"


@dataclass(frozen=True, kw_only=True)
class DefinitionPublished(Record):
    """A definition that workflows may be started with."""

    name: str
    definition_hash: str
    body: Json
