"""What the records of the definitions topic amount to, and which definition a name stands for."""

import pytest

from holdfast.ops.commands.definitions import find
from holdfast.ops.errors import CommandError
from holdfast.ops.published import Published, definitions_of
from holdfast.schemas.definitions import DefinitionPublished
from holdfast.schemas.record import EventMeta, Message


def published(*versions: tuple[str, str]) -> tuple[Published, ...]:
    """The definitions after (name, hash) were published in that order."""
    messages = []
    for at_ms, (name, definition_hash) in enumerate(versions):
        meta = EventMeta(
            event_id=f"e{at_ms}",
            type="DefinitionPublished",
            tenant="acme",
            workflow_id="",
            actor_kind="person",
            actor_id="ann",
            occurred_at_ms=at_ms,
        )
        body = DefinitionPublished(name=name, definition_hash=definition_hash, body={"name": name})
        messages.append(Message(meta=meta, body=body))
    return definitions_of(messages)


def versions(found: tuple[Published, ...]) -> list[tuple[str, str, bool]]:
    return [(other.name, other.hash, other.newest) for other in found]


def test_the_last_version_of_a_name_is_the_newest() -> None:
    assert versions(published(("b", "b1"), ("a", "a1"), ("a", "a2"))) == [
        ("a", "a1", False),
        ("a", "a2", True),
        ("b", "b1", True),
    ]


def test_a_version_that_is_published_again_is_the_newest_again() -> None:
    found = published(("a", "a1"), ("a", "a2"), ("a", "a1"))
    assert versions(found) == [("a", "a2", False), ("a", "a1", True)]
    assert found[1].published_at_ms == 2


def test_a_name_stands_for_its_newest_version_and_a_hash_for_its_own() -> None:
    found = published(("a", "11aa"), ("a", "22bb"))
    assert find(found, "a").hash == "22bb"
    assert find(found, "a@11").hash == "11aa"


def test_a_name_that_nobody_published_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(CommandError, match="there are: a, b"):
        find(published(("a", "1"), ("b", "2")), "c")
    with pytest.raises(CommandError, match="there are: none"):
        find((), "c")


@pytest.mark.parametrize("name", ["a@1", "a@9"])
def test_a_hash_must_name_exactly_one_version(name: str) -> None:
    with pytest.raises(CommandError, match="versions of 'a'"):
        find(published(("a", "11"), ("a", "12")), name)


def test_the_beginning_of_a_hash_stands_for_its_version() -> None:
    found = published(("a", "11aa22bb"), ("a", "22bb33cc"))
    assert find(found, "11aa22").hash == "11aa22bb"
    with pytest.raises(CommandError, match="no definition '33cc44' is published"):
        find(found, "33cc44")
