"""Definitions that are applied together: which starts which, and in what order they have to be published."""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

from holdfast.streams.core.definition import Definition
from holdfast.streams.core.graph import closure
from holdfast.streams.core.lint.company_rules import Company, company_findings
from holdfast.streams.core.startable import NOTHING_STARTABLE, Startable
from holdfast.streams.definition_file import Document, Inspection, InvalidFile, Located, Manifests, read_document

# Stands for a definition of which nothing is known, because it has mistakes of its own, or because nobody has looked:
# whoever starts it need not hear of that.
_UNKNOWN = Startable(hash="", input={})


class InvalidFiles(Exception):
    """Definition files with mistakes; `problems` has all of them by file, in the order in which the files came."""

    def __init__(self, problems: Mapping[str, tuple[Located, ...]]) -> None:
        super().__init__("\n".join(f"{file}:{at.line}: {at.problem}" for file in problems for at in problems[file]))
        self.problems = problems


def parse_definitions(
    texts: Mapping[str, str], tools: Manifests, published: Mapping[str, Startable] = NOTHING_STARTABLE
) -> dict[str, Definition]:
    """The definitions in several YAML texts by file, each behind those that it starts.

    Arguments: the texts by the name to show in messages, the known manifests by tool name, and the definitions that
    are published, by name: what a step starts is one of the texts, or else published. Raises InvalidFiles with every
    mistake of every text.
    """
    return accepted(inspect_definitions(texts, tools, published), list(texts))


def accepted(inspections: Mapping[str, Inspection], files: list[str]) -> dict[str, Definition]:
    """The definitions by file, if none has a mistake. Raises InvalidFiles, with the files in the order given."""
    if mistakes := {file: found for file in files if (found := inspections[file].mistakes)}:
        raise InvalidFiles(mistakes)
    return {file: i.definition for file, i in inspections.items() if i.definition is not None}


def inspect_definitions(
    texts: Mapping[str, str], tools: Manifests, published: Mapping[str, Startable] | None
) -> dict[str, Inspection]:
    """What several YAML texts come to, by file: first those without data, then each behind those that it starts.

    Arguments as for `parse_definitions`; `published` is None if that is not known, so that any name may be started.
    """
    found: dict[str, Inspection] = {}
    documents: dict[str, Document] = {}
    for file, text in texts.items():
        try:
            documents[file] = read_document(text, file)
        except InvalidFile as exc:
            found[file] = Inspection(definition=None, findings=exc.problems)
    startable = {document.name: _UNKNOWN for document in documents.values()}
    if published is None:
        named = {name for document in documents.values() for name in document.starts().values()}
        startable = {**dict.fromkeys(named, _UNKNOWN), **startable}
    else:
        startable = {**published, **startable}
    twins, starts = _twins(documents), _starts(documents)
    for file in _in_order(documents, starts):
        document = documents[file]
        inspection = document.inspect(tools, {name: known.hash for name, known in startable.items()})
        company = Company(
            name=document.name,
            definition=inspection.definition,
            startable=startable,
            twin=twins.get(file, ""),
            circles=_circles(document, starts),
        )
        added = document.located(company_findings(company))
        found[file] = Inspection(
            definition=inspection.definition, findings=tuple(sorted((*inspection.findings, *added), key=Located.order))
        )
        if (definition := inspection.definition) is not None and not found[file].mistakes:
            startable[definition.name] = Startable(hash=definition.hash, input=definition.input)
    return found


def _twins(documents: Mapping[str, Document]) -> dict[str, str]:
    """The files whose name an earlier file defines as well, and that file."""
    files: dict[str, str] = {}
    named = {file: document.name for file, document in documents.items() if document.name}
    return {file: other for file, name in named.items() if (other := files.setdefault(name, file)) != file}


def _circles(document: Document, starts: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """The definitions of a circle that leads back to this one, by the step that begins it."""
    found = {}
    for step, started in document.starts().items():
        circle = {name for name in closure({started}, starts) if document.name in closure({name}, starts)}
        if circle:
            found[step] = tuple(sorted(circle))
    return found


def _in_order(documents: Mapping[str, Document], starts: Mapping[str, set[str]]) -> Iterator[str]:
    """The files, each behind those that it starts as far as there is no circle."""
    files = {document.name: file for file, document in documents.items()}
    order: TopologicalSorter[str] = TopologicalSorter()
    for file, document in documents.items():
        before = sorted(starts[document.name] & files.keys())
        order.add(file, *(files[name] for name in before if document.name not in closure({name}, starts)))
    yield from order.static_order()


def _starts(documents: Mapping[str, Document]) -> Mapping[str, set[str]]:
    return {document.name: set(document.starts().values()) for document in documents.values()}
