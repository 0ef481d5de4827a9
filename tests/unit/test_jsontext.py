"""Canonical JSON: one text per value, and nothing that could be read but not written again."""

import pytest

from holdfast.schemas import jsontext


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1.0, None, True]}, '{"a":[1.0,null,true],"b":1}'),
        ("Zürich ✓", '"Zürich ✓"'),
        ({"ä": 1, "z": 2}, '{"z":2,"ä":1}'),
        (2**64 - 1, "18446744073709551615"),
    ],
)
def test_a_value_has_one_text(value: object, text: str) -> None:
    assert jsontext.dumps(value) == text
    assert jsontext.loads(text) == value
    assert jsontext.loads(text.encode()) == value


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert jsontext.digest({"a": 1, "b": 2}) == jsontext.digest({"b": 2, "a": 1})
    assert jsontext.digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


@pytest.mark.parametrize("value", [2**64, b"x", {1: 2}, ..., "\ud800"], ids=repr)
def test_what_is_no_json_value_has_no_text(value: object) -> None:
    with pytest.raises(TypeError):
        jsontext.dumps(value)


@pytest.mark.parametrize("text", ["", "{", "NaN", "1e999", "'a'", '"\\ud800"', "{} {}"])
def test_what_is_no_json_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1 column"):
        jsontext.loads(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_text_is_nested_up_to_the_limit_and_no_deeper(opening: str, closing: str) -> None:
    deepest = opening * jsontext.INPUT_DEPTH_LIMIT + "1" + closing * jsontext.INPUT_DEPTH_LIMIT
    assert jsontext.dumps(jsontext.loads(deepest)) == deepest
    for text in (opening + deepest + closing, "[" * 100_000):
        with pytest.raises(ValueError, match=r"nested deeper|depth limit"):
            jsontext.loads(text)


def test_a_flat_value_may_have_more_brackets_than_the_limit() -> None:
    assert jsontext.loads("[" + ",".join(["[]"] * 1000) + "]") == [[]] * 1000
