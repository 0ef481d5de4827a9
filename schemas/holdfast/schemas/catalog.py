"""The file catalogue: every schema ever used, with a fixed id. `avro/catalog.json` is its manifest.

A version, once committed, never changes (its SHA-256 stands in the manifest); a changed record is a new file with
the next version and the next free id.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson

AVRO = files("holdfast.schemas") / "avro"


@dataclass(frozen=True, kw_only=True)
class Schema:
    """One version of one record's schema.

    `subject` is the record's full name (TopicRecordName without the topic); `text` is the `.avsc` as committed.
    """

    id: int
    subject: str
    version: int
    path: str
    sha256: str
    text: str

    @property
    def name(self) -> str:
        """The record's short name."""
        return self.subject.rpartition(".")[2]

    def parsed(self) -> dict[str, Any]:
        """The schema as a JSON object, logical types included."""
        parsed: dict[str, Any] = orjson.loads(self.text)
        return parsed


class CatalogError(Exception):
    """The committed catalogue contradicts itself."""


@functools.cache
def schemas_by_id() -> Mapping[int, Schema]:
    """All versions of all schemas. Raises CatalogError if a committed file was edited."""
    catalog: dict[int, Schema] = {}
    for entry in orjson.loads((AVRO / "catalog.json").read_bytes()):
        text = (AVRO / entry["path"]).read_text(encoding="utf-8")
        if hashlib.sha256(text.encode()).hexdigest() != entry["sha256"]:
            raise CatalogError(
                f"{entry['path']} differs from the version that was committed: add a new version instead of editing it"
            )
        if entry["id"] in catalog:
            raise CatalogError(f"schema id {entry['id']} is given twice in catalog.json")
        catalog[entry["id"]] = Schema(**entry, text=text)
    return catalog


@functools.cache
def newest_by_subject() -> Mapping[str, Schema]:
    """The newest version of each subject: what producers write."""
    newest: dict[str, Schema] = {}
    for schema in schemas_by_id().values():
        if schema.subject not in newest or schema.version > newest[schema.subject].version:
            newest[schema.subject] = schema
    return newest
