"""Identities: keys that can be taken apart, and ids that are pure functions of what they identify."""

import uuid

import pytest

from holdfast.schemas.ids import derived_id, effect_key, split_key, workflow_key, workflow_of


def test_a_workflow_key_is_tenant_and_workflow_id() -> None:
    assert workflow_key("acme", "order-7") == "acme/order-7"


@pytest.mark.parametrize("key", ["acme/order-7", "a/b", "a_b-c/A.b_c:d-9", f"{'a' * 63}/{'b' * 128}"])
def test_a_key_is_taken_apart_into_what_it_was_made_of(key: str) -> None:
    assert workflow_key(*split_key(key)) == key


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "acme", "acme/", "/order", "Acme/order", "acme/ord er", "acme/a/b", "acme/-a", "-a/b", "acme/a\n"),
        *("äcme/a", f"{'a' * 64}/b", f"a/{'b' * 129}"),
    ],
)
def test_what_is_no_workflow_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="tenant/workflow_id"):
        split_key(key)


def test_a_derived_id_never_changes() -> None:
    assert derived_id("acme", "order-7", 3) == "0d37934b-a2f9-8472-a4c7-0c26a12369e1"


def test_a_derived_id_is_a_uuid_of_version_8() -> None:
    parsed = uuid.UUID(derived_id("x"))
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


@pytest.mark.parametrize(
    ("one", "other"), [(("a", "b"), ("ab",)), (("a", "b"), ("b", "a")), (("a",), ("a", "")), ((1, 23), (12, 3))]
)
def test_other_parts_give_another_id(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    assert derived_id(*one) != derived_id(*other)


def test_an_effect_key_names_one_call_of_one_visit() -> None:
    key = effect_key("acme", "order-7", "draft", 2, 3, 0)
    assert key == "acme/order-7/draft.2/3/0"
    assert workflow_of(key) == ("acme", "order-7")
