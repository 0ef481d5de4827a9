"""The kit: private names of Faust that it relies on, and decoding that never raises."""

import importlib
import importlib.metadata
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.schemas.codec import encode
from holdfast.schemas.record import EventMeta
from holdfast.schemas.reports import FireTimer
from holdfast.streams.faustkit.private_names import FAUST_VERSION, INSTANCE_NAMES, PRIVATE_NAMES
from holdfast.streams.faustkit.schema import Poison, read

KIT = Path(importlib.import_module("holdfast.streams.faustkit").__file__ or "").parent


def test_the_kit_is_written_for_the_installed_faust() -> None:
    assert importlib.metadata.version("faust-streaming") == FAUST_VERSION


@pytest.mark.parametrize(("owner", "name"), [(o, n) for o, names in PRIVATE_NAMES.items() for n in names])
def test_a_private_name_of_faust_is_still_there(owner: str, name: str) -> None:
    module, _, cls = owner.partition(":")
    assert hasattr(getattr(importlib.import_module(module), cls), name), f"{owner} has lost {name}"


@pytest.mark.parametrize(("owner", "name"), [(o, n) for o, names in INSTANCE_NAMES.items() for n in names])
def test_a_private_attribute_of_faust_is_still_set(owner: str, name: str) -> None:
    source = Path(importlib.import_module(owner).__file__ or "").read_text(encoding="utf-8")
    assert re.search(rf"self\.{name}\b|{name}:", source), f"{owner} no longer sets {name}"


def test_every_private_name_that_the_kit_uses_is_on_the_list() -> None:
    used = {
        name
        for file in KIT.glob("*.py")
        for name in re.findall(r"(?:self|app|queue|topics|consumer|fetcher|\w+\))\.(_[a-z]\w+)", file.read_text())
    }
    listed = {n for names in (*PRIVATE_NAMES.values(), *INSTANCE_NAMES.values()) for n in names}
    own = {
        name
        for file in KIT.glob("*.py")
        for name in re.findall(r"def (_\w+)|self\.(_\w+)(?:: [^=\n]+)? =", file.read_text())
    }
    assigned = {name for pair in own for name in pair if name}
    assert used - assigned <= listed, used - assigned - listed


META = EventMeta(
    event_id="e", type="FireTimer", tenant="t", workflow_id="w", actor_kind="timer", actor_id="x", occurred_at_ms=1
)


def test_a_record_under_another_workflows_key_is_poison() -> None:
    value = encode(FireTimer(timer_id="", due_at_ms=1), META)
    assert read(b"t/w", value).body == FireTimer(timer_id="", due_at_ms=1)
    wrong = read(b"t/other", value)
    assert isinstance(wrong, Poison)
    assert wrong.code == "key_mismatch"


@pytest.mark.parametrize(
    ("value", "code"),
    [(None, "no_value"), (b"", "not_framed"), (b"\x00\x00\x00\xff\xff", "unknown_schema"), (b"{}json", "not_framed")],
)
def test_bytes_that_are_no_record_are_poison_with_a_code(value: bytes | None, code: str) -> None:
    poison = read(b"t/w", value)
    assert isinstance(poison, Poison)
    assert poison.code == code


@given(st.none() | st.binary(), st.none() | st.binary())
def test_no_bytes_make_decoding_raise(key: bytes | None, value: bytes | None) -> None:
    assert isinstance(read(key, value), Poison)
