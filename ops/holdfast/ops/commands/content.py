"""`holdfast content`: large bodies by their hash, and the references that stand for them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.console import CommandError, JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.tools.content import ContentStore

ReferenceArgument = Annotated[
    str, typer.Argument(metavar="REFERENCE", help="sha256:<hex>, or the reference that `put` printed.")
]


def register(app: typer.Typer) -> None:
    """Add `holdfast content`."""
    content = typer.Typer(no_args_is_help=True, help="Large bodies by their hash, and references to them.")
    content.command("put")(put)
    content.command("get")(get)
    content.command("show")(show)
    app.add_typer(content, name="content")


def put(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file, or - for standard input.")],
    raw: Annotated[bool, typer.Option("--raw", help="Keep any bytes; else each line has to be a JSON value.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Keep a file of JSON lines and print its reference, which a map step takes as its `items`.

    JSON: content, bytes, lines. Example: holdfast content put documents.jsonl
    """
    import orjson

    from holdfast.tools.json_lines import Lines

    with _answering() as store:
        body = _read(file)
        reference = store.put(body, None if raw else len(Lines(body))).to_json()
    emit(reference if as_json else orjson.dumps(reference).decode(), as_json=as_json)


def get(reference: ReferenceArgument, as_json: JsonOption = False) -> None:
    """Print a body as it was kept.

    JSON: content, bytes, and its text, or base64 if it is not UTF-8. Example: holdfast content get sha256:5f70bf18...
    """
    with _answering() as store:
        content = _content_of(reference)
        body = store.get(content)
    if as_json:
        emit({"content": content, "bytes": len(body), **_as_text(body)}, as_json=True)
    else:
        sys.stdout.buffer.write(body)


def show(reference: ReferenceArgument, as_json: JsonOption = False) -> None:
    """Say how large a body is and, if it is JSON lines, how many; that is the reference to it.

    JSON: content, bytes, lines. Example: holdfast content show sha256:5f70bf18...
    """
    from holdfast.schemas.content import ContentReference
    from holdfast.tools.content import ContentError
    from holdfast.tools.json_lines import Lines

    with _answering() as store:
        content = _content_of(reference)
        body = store.get(content)
    lines = None
    try:
        lines = len(Lines(body))
    except ContentError as exc:
        say(f"not JSON lines: {exc}")
    emit(ContentReference(content=content, size_bytes=len(body), lines=lines).to_json(), as_json=as_json)


@contextmanager
def _answering() -> "Iterator[ContentStore]":
    """The project's store. Raises CommandError for what it cannot do, and for bodies that are not as they should be."""
    from holdfast.ops.cures import cure_of
    from holdfast.ops.roles import content_store_of
    from holdfast.ops.settings import load_settings, project_of
    from holdfast.tools.content import ContentError

    settings = load_settings()
    try:
        yield content_store_of(settings, project_of(settings))
    except ContentError as exc:
        raise CommandError(f"{exc.code}: {exc}", cure=cure_of(exc.code)) from exc


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()
    except OSError as exc:
        raise CommandError(f"cannot read {file}: {exc.strerror}", cure="check the path") from exc


def _content_of(text: str) -> str:
    import orjson

    from holdfast.schemas.content import CONTENT, ContentReference

    if CONTENT.fullmatch(text):
        return text
    try:
        return ContentReference.from_json(orjson.loads(text)).content
    except ValueError:
        raise CommandError(
            f"{text!r} is no reference to content", cure="sha256:<64 digits>, or what `holdfast content put` prints"
        ) from None


def _as_text(body: bytes) -> dict[str, Any]:
    import base64

    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
