"""The file catalogue: every schema ever used, with a fixed id. `avro/catalog.json` is its manifest.

A version, once committed, never changes (its SHA-256 stands in the manifest); a changed record is a new file with
the next version and the next free id.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import orjson

AVRO = files("holdfast.schemas") / "avro"
MANIFEST = "catalog.json"


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


ENTRY = frozenset(field.name for field in fields(Schema)) - {"text"}


def read(root: Traversable) -> tuple[Schema, ...]:
    """The entries of the manifest in `root`, in its order and unchecked; `text` is empty where the file is missing.

    Raises CatalogError if the manifest is not a list of entries.
    """
    try:
        entries = orjson.loads((root / MANIFEST).read_bytes())
    except (OSError, ValueError) as exc:
        raise CatalogError(f"{MANIFEST} cannot be read: {exc}") from exc
    if not isinstance(entries, list) or any(not isinstance(e, dict) or e.keys() != ENTRY for e in entries):
        raise CatalogError(f"{MANIFEST} is not a list of entries with exactly {', '.join(sorted(ENTRY))}")
    return tuple(Schema(**entry, text=_text(root / entry["path"])) for entry in entries)


def _text(file: Traversable) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def digest(text: str) -> str:
    """SHA-256 of a schema's text as committed, lower-case hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def by_id(schemas: tuple[Schema, ...]) -> Mapping[int, Schema]:
    """The schemas by their ids. Raises CatalogError if a committed file was edited or an id is given twice."""
    catalog: dict[int, Schema] = {}
    for schema in schemas:
        if digest(schema.text) != schema.sha256:
            raise CatalogError(
                f"{schema.path} differs from the version that was committed: add a new version instead of editing it"
            )
        if schema.id in catalog:
            raise CatalogError(f"schema id {schema.id} is given twice in {MANIFEST}")
        catalog[schema.id] = schema
    return catalog


@functools.cache
def schemas_by_id() -> Mapping[int, Schema]:
    """All versions of all schemas. Raises CatalogError if a committed file was edited."""
    return by_id(read(AVRO))


@functools.cache
def newest_by_subject() -> Mapping[str, Schema]:
    """The newest version of each subject: what producers write."""
    newest: dict[str, Schema] = {}
    for schema in schemas_by_id().values():
        if schema.subject not in newest or schema.version > newest[schema.subject].version:
            newest[schema.subject] = schema
    return newest
