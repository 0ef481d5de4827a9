"""Definitions that are applied together: which starts which, and in what order they have to be published."""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

from holdfast.streams.core.compile import Problem
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.graph import closure
from holdfast.streams.core.startable import NOTHING_STARTABLE, Startable
from holdfast.streams.definition_file import Document, InvalidFile, Located, read_document

# Stands for a definition of the same call that has mistakes of its own: whoever starts it need not hear of them.
_UNKNOWN = Startable(hash="", input={})


class InvalidFiles(Exception):
    """Definition files with mistakes; `problems` has all of them by file, in the order in which the files came."""

    def __init__(self, problems: Mapping[str, tuple[Located, ...]]) -> None:
        super().__init__("\n".join(f"{file}:{at.line}: {at.problem}" for file in problems for at in problems[file]))
        self.problems = problems


def parse_definitions(
    texts: Mapping[str, str],
    tools: Mapping[str, Mapping[str, object]],
    published: Mapping[str, Startable] = NOTHING_STARTABLE,
) -> dict[str, Definition]:
    """The definitions in several YAML texts by file, each behind those that it starts.

    Arguments: the texts by the name to show in messages, the known manifests by tool name, and the definitions that
    are published, by name: what a step starts is one of the texts, or else published. Raises InvalidFiles with
    every mistake of every text.
    """
    mistakes: dict[str, list[Located]] = {file: [] for file in texts}
    documents: dict[str, Document] = {}
    for file, text in texts.items():
        try:
            documents[file] = read_document(text, file)
        except InvalidFile as exc:
            mistakes[file] += exc.problems
    for document, problem in (*_doubled(documents), *_circular(documents)):
        mistakes[document.file] += document.invalid([problem]).problems

    parsed: dict[str, Definition] = {}
    startable = {**published, **{document.name: _UNKNOWN for document in documents.values()}}
    for file in _in_order(documents):
        try:
            definition = documents[file].definition(tools, startable)
        except InvalidFile as exc:
            mistakes[file] += exc.problems
            continue
        parsed[file] = definition
        startable[definition.name] = Startable(hash=definition.hash, input=definition.input)
    if any(mistakes.values()):
        in_place = {file: sorted(found, key=lambda at: (at.line, at.column)) for file, found in mistakes.items()}
        raise InvalidFiles({file: tuple(found) for file, found in in_place.items() if found})
    return parsed


def _doubled(documents: Mapping[str, Document]) -> Iterator[tuple[Document, Problem]]:
    files: dict[str, str] = {}
    for file, document in documents.items():
        if document.name and (other := files.setdefault(document.name, file)) != file:
            message = f"{other} defines {document.name!r} as well"
            yield document, Problem(path=("name",), message=message, cure="rename one, or apply one")


def _circular(documents: Mapping[str, Document]) -> Iterator[tuple[Document, Problem]]:
    starts = _starts(documents)
    for document in documents.values():
        for step, started in document.starts().items():
            circle = {name for name in closure({started}, starts) if document.name in closure({name}, starts)}
            if circle:
                yield (
                    document,
                    Problem(
                        path=("steps", step, "definition"),
                        message=_circle(sorted(circle)),
                        cure="a definition pins what it starts, so it cannot contain itself: go back with `next`, or "
                        "repeat steps with `map`",
                    ),
                )


def _circle(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]!r} starts itself"
    return f"{', '.join(map(repr, names))} start one another in a circle"


def _in_order(documents: Mapping[str, Document]) -> Iterator[str]:
    """The files, each behind those that it starts as far as there is no circle."""
    starts = _starts(documents)
    files = {document.name: file for file, document in documents.items()}
    order: TopologicalSorter[str] = TopologicalSorter()
    for file, document in documents.items():
        before = sorted(starts[document.name] & files.keys())
        order.add(file, *(files[name] for name in before if document.name not in closure({name}, starts)))
    yield from order.static_order()


def _starts(documents: Mapping[str, Document]) -> Mapping[str, set[str]]:
    return {document.name: set(document.starts().values()) for document in documents.values()}
