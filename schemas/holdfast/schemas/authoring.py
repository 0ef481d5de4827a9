"""Adds records to the catalogue: the next version, the next free id, and never an edit of what is there."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import orjson

from holdfast.schemas import catalog, compatibility, lint
from holdfast.schemas.catalog import Schema
from holdfast.schemas.lint import Finding

KEYS = ("id", "subject", "version", "path", "sha256")


class RefusedError(Exception):
    """The records would break rules of the catalogue; `findings` says which."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{finding.where}: {finding.message}" for finding in findings))
        self.findings = findings


def check(root: Path) -> list[Finding]:
    """All broken rules of the catalogue in `root`, compatibility last and only if there are no others.

    Raises CatalogError and CheckerMissingError.
    """
    return _check(catalog.read(root), lint.files_in(root))


def add(root: Path, texts: Sequence[str]) -> list[Schema]:
    """Adds records to the catalogue in `root`, each as the next version of its subject, and returns them.

    `texts` are whole .avsc files; records that share a changed EventMeta are added together. Raises RefusedError if a
    rule would be broken or nothing changed, and then writes nothing; raises CatalogError and CheckerMissingError.
    """
    before = catalog.read(root)
    added: list[Schema] = []
    for text in texts:
        added.append(_next(text, [*before, *added]))
    findings = _check([*before, *added], lint.files_in(root) | {schema.path for schema in added})
    findings += [
        Finding("file_unlisted", schema.path, "is another, unlisted file: remove it, or add that one")
        for schema in added
        if (root / schema.path).is_file() and (root / schema.path).read_text(encoding="utf-8") != schema.text
    ]
    if findings:
        raise RefusedError(findings)
    for schema in added:
        path = root / schema.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(schema.text, encoding="utf-8")
    _replace(root / catalog.MANIFEST, manifest_text([*before, *added]))
    return added


def manifest_text(schemas: Sequence[Schema]) -> str:
    """The manifest of a catalogue: one line per entry, so that a change shows as added lines."""
    lines = (json.dumps({key: getattr(schema, key) for key in KEYS}) for schema in schemas)
    return "[\n  " + ",\n  ".join(lines) + "\n]\n"


def _check(schemas: Sequence[Schema], files: frozenset[str]) -> list[Finding]:
    return lint.check(schemas, files) or compatibility.check(schemas)


def _next(text: str, known: Sequence[Schema]) -> Schema:
    """The entry that a record would get. Raises RefusedError."""
    try:
        record = orjson.loads(text)
        name, namespace = record["name"], record["namespace"]
        folder = lint.FOLDERS[namespace.split(".")[1]]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
        raise RefusedError([Finding("unreadable", "the new record", f"not a record of a known kind: {exc!r}")]) from exc
    subject = f"{namespace}.{name}"
    versions = [schema for schema in known if schema.subject == subject]
    if versions and versions[-1].parsed() == record:
        raise RefusedError([Finding("unchanged", subject, f"is the same as version {versions[-1].version}")])
    version = len(versions) + 1
    return Schema(
        id=max((schema.id for schema in known), default=0) + 1,
        subject=subject,
        version=version,
        path=f"{folder}/{name}.{version}.avsc",
        sha256=catalog.digest(text),
        text=text,
    )


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
