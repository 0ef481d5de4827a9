"""The content store: bodies by their hash, JSON lines by the page, and all that may be wrong with them."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.schemas.content import ContentReference
from holdfast.streams.executor import item_calls
from holdfast.streams.executor.item_calls import ItemCalls
from holdfast.tools import content as content_module
from holdfast.tools.content import ContentError, ContentStore, ContentUrlError
from holdfast.tools.json_lines import LINE_LIMIT_BYTES, LineReader, Lines, joined

BODY = b'{"n": 1}\n[2]\n"three"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept here"


@pytest.fixture
def store(folder: Path) -> ContentStore:
    return ContentStore(folder.as_uri())


def bodies(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def code_of(act: Any) -> str:
    with pytest.raises(ContentError) as caught:
        act()
    return caught.value.code


def test_what_is_put_can_be_read_by_its_hash(store: ContentStore, folder: Path) -> None:
    reference = store.put(BODY, 3)
    assert store.get(reference.content) == BODY
    assert store.size_bytes(reference.content) == reference.size_bytes == len(BODY)
    assert ContentReference.from_json(reference.to_json()) == reference
    assert ContentStore(folder.as_uri()).get(reference.content) == BODY, "another process sees it"


def test_the_same_body_is_kept_once(store: ContentStore, folder: Path) -> None:
    assert store.put(BODY) == store.put(BODY)
    assert len(bodies(folder)) == 1


def test_a_body_that_was_changed_is_noticed_and_repaired_by_putting_it_again(store: ContentStore, folder: Path) -> None:
    reference = store.put(BODY)
    bodies(folder)[0].write_bytes(BODY[:-1])
    assert code_of(lambda: store.get(reference.content)) == "content_corrupt"
    store.put(BODY)
    assert store.get(reference.content) == BODY


def test_a_body_that_is_not_there_is_missing(store: ContentStore) -> None:
    assert code_of(lambda: store.get(f"sha256:{'0' * 64}")) == "content_missing"


def test_a_store_that_does_not_answer_is_worth_another_attempt(store: ContentStore, folder: Path) -> None:
    folder.rmdir()
    folder.write_text("a file where the folder was")
    with pytest.raises(ContentError) as caught:
        store.put(BODY)
    assert (caught.value.code, caught.value.retryable) == ("unavailable", True)


def test_a_body_that_is_too_large_is_neither_taken_nor_given(
    store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = store.put(BODY)
    monkeypatch.setattr(content_module, "BODY_LIMIT_BYTES", len(BODY) - 1)
    assert code_of(lambda: store.put(BODY)) == "content_too_large"
    assert code_of(lambda: store.get(reference.content)) == "content_too_large"


@pytest.mark.parametrize("url", ["nope://x", "a/folder", ""])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ContentUrlError, match="names no content store"):
        ContentStore(url)


HASH = f"sha256:{'0' * 64}"
NO_REFERENCES: list[Any] = [
    "sha256",
    {"content": HASH},
    {"content": "sha256:00", "bytes": 1},
    {"content": HASH, "bytes": -1},
    {"content": HASH, "bytes": True},
    {"content": HASH, "bytes": 1, "lines": "3"},
    {"content": HASH, "bytes": 1, "lines": 3, "more": 1},
]


@pytest.mark.parametrize("value", NO_REFERENCES)
def test_what_is_no_reference_is_said_to_be_none(value: Any) -> None:
    with pytest.raises(ValueError, match="reference"):
        ContentReference.from_json(value)


PAGES = [
    # start, limit, limit_bytes, the values
    (0, 10, 100, [{"n": 1}, [2], "three"]),
    (0, 2, 100, [{"n": 1}, [2]]),
    (2, 10, 100, ["three"]),
    (0, 10, 12, [{"n": 1}, [2]]),
    (0, 10, 1, [{"n": 1}]),
    (3, 10, 100, []),
]


@pytest.mark.parametrize(("start", "limit", "limit_bytes", "values"), PAGES)
@pytest.mark.parametrize("body", [BODY, BODY + b"\n", BODY.replace(b"\n", b"\r\n")[: len(BODY) + 2]])
def test_lines_are_read_by_the_page(start: int, limit: int, limit_bytes: int, values: list[Any], body: bytes) -> None:
    if b"\r" in body and limit_bytes == 12:
        limit_bytes += 2
    assert Lines(body).page(start, limit, limit_bytes) == values


def test_values_that_are_joined_are_lines() -> None:
    values: list[Any] = [{"b": 1, "a": [None]}, "é\n", 0.5]
    assert Lines(joined(values)).page(0, 9, 999) == values
    assert len(Lines(b"")) == 0


NO_LINES = [
    # body, code, what the message says
    (b'{"n": 1}\n{"n":\n3', "content_not_json_lines", "line 2 is not JSON"),
    (b"1\n\n3\n", "content_not_json_lines", "line 2 is not JSON"),
    (b"1\n\n", "content_not_json_lines", "line 2 is not JSON"),
    (b'"\xff"', "content_not_json_lines", "line 1 is not JSON"),
    (b"[" * 101 + b"]" * 101, "content_not_json_lines", "line 1 is not JSON: a value is nested deeper"),
    (b"1\n" + b'"' + b"x" * LINE_LIMIT_BYTES + b'"', "content_too_large", "line 2 has"),
]


@pytest.mark.parametrize(("body", "code", "said"), NO_LINES)
def test_the_line_that_is_not_json_is_named(body: bytes, code: str, said: str) -> None:
    with pytest.raises(ContentError, match=said) as caught:
        Lines(body)
    assert caught.value.code == code


@pytest.mark.parametrize("wrong", [{"lines": 2}, {"lines": None}, {"size_bytes": 1}])
def test_a_reference_that_says_something_else_than_the_body_is_refused(
    store: ContentStore, wrong: dict[str, Any]
) -> None:
    kept = store.put(BODY)
    told: dict[str, Any] = {"content": kept.content, "size_bytes": kept.size_bytes, "lines": 3}
    reader = LineReader(store)
    assert reader.page(ContentReference(**told), 0, 1, 100) == [{"n": 1}]
    reference = ContentReference(**{**told, **wrong})
    assert code_of(lambda: reader.page(reference, 0, 1, 100)) == "content_reference_invalid"


def test_a_body_is_read_from_the_store_once(store: ContentStore, folder: Path) -> None:
    reference = store.put(BODY, 3)
    reader = LineReader(store)
    assert reader.page(reference, 0, 1, 100)
    bodies(folder)[0].unlink()
    assert reader.page(reference, 1, 1, 100) == [[2]]
    assert code_of(lambda: LineReader(store).page(reference, 1, 1, 100)) == "content_missing"


def test_bodies_that_were_read_are_kept_up_to_a_limit(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.tools.json_lines.BODY_LIMIT_BYTES", 8)
    first, second = store.put(b"[1]\n[2]\n", 2), store.put(b"[3]\n", 1)
    reads: list[str] = []
    read = store.get

    def get(content: str) -> bytes:
        reads.append(content)
        return read(content)

    monkeypatch.setattr(store, "get", get)
    reader = LineReader(store)
    for reference in (first, first, second, first):
        reader.page(reference, 0, 1, 100)
    assert reads == [first.content, second.content, first.content]


def ended(*indexes: int, output: str = "x") -> list[dict[str, Any]]:
    return [{"index": index, "output": output} for index in indexes]


def test_parts_are_joined_in_the_order_of_the_items_however_they_ended(store: ContentStore) -> None:
    calls = ItemCalls(store)
    parts: Any = None
    bad = {"index": 4, "error": {"class": "tool_error", "message": "m" * 300}}
    for results in ([*ended(7, 2)], [bad, *ended(0)], [*ended(6, 5, 9)]):
        parts = calls.keep_results(parts=parts, results=results)
    joined_: Any = calls.join_results(parts=parts, results=ended(1, 3, 8), total=10, limit=5)
    reference = ContentReference.from_json(joined_["results"])
    assert LineReader(store).page(reference, 0, 99, 9_999) == ["x"] * 4 + [None] + ["x"] * 5
    [failure] = joined_["failures"]
    assert (failure["index"], failure["error"]["class"]) == (4, "tool_error")
    assert len(failure["error"]["message"]) < 250
    again = calls.join_results(parts=parts, results=ended(1, 3, 8), total=10, limit=5)
    assert again == joined_, "an attempt that is made again gives the same"


def test_many_parts_are_a_short_chain(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_calls, "MERGED_LIMIT_BYTES", 10_000)
    calls = ItemCalls(store)
    parts: Any = None
    for number in range(300):
        parts = calls.keep_results(parts=parts, results=ended(number, output="y" * 200))
    chain = []
    while parts is not None:
        chain.append(parts["bytes"])
        parts = calls._read(parts)["previous"]
    assert len(chain) <= 20
    assert 5_000 < max(chain) <= 10_000
