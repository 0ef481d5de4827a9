"""Small catalogues in a folder of the test's own, to be broken one rule at a time."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.schemas.authoring import manifest_text
from holdfast.schemas.catalog import MANIFEST, Schema, digest

Node = dict[str, Any]

TIME = {"type": "long", "logicalType": "timestamp-millis"}
JSON_TEXT = {"type": "string", "mediaType": "application/json"}


def field(name: str, type_: Any = "string", **more: Any) -> Node:
    """A field with a doc."""
    return {"name": name, "type": copy.deepcopy(type_), "doc": "What it is.", **more}


def meta() -> Node:
    """The first field of every record but rows."""
    event_meta = {"type": "record", "name": "EventMeta", "namespace": "holdfast.v1", "doc": "About the record."}
    return field("meta", {**event_meta, "fields": [field("event_id"), field("occurred_at_ms", TIME)]})


def record(name: str = "ThingDone", *fields: Node, kind: str = "event") -> Node:
    """A record that keeps all rules, with meta and two fields, or with the fields given."""
    head = {"type": "record", "name": name, "namespace": f"holdfast.{kind}.v1", "doc": "A thing was done."}
    return {**head, "fields": [meta(), *(fields or (field("step"), field("due_at_ms", TIME)))]}


def entry(id_: int, path: str, node: Node | str, version: int = 1, subject: str = "") -> Schema:
    """The entry of a record, given as a node or as text."""
    text = node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)
    subject = subject or (f"{node['namespace']}.{node['name']}" if isinstance(node, dict) else "holdfast.event.v1.X")
    return Schema(id=id_, subject=subject, version=version, path=path, sha256=digest(text), text=text)


def versions(*nodes: Node) -> list[Schema]:
    """The entries of one record's versions."""
    return [entry(n, f"events/{node['name']}.{n}.avsc", node, version=n) for n, node in enumerate(nodes, start=1)]


def write(root: Path, schemas: Sequence[Schema]) -> Path:
    """Lays a catalogue out in a folder and returns the folder."""
    for schema in schemas:
        path = root / schema.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(schema.text, encoding="utf-8")
    (root / MANIFEST).write_text(manifest_text(schemas), encoding="utf-8")
    return root
