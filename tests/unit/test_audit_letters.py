"""Letters between workflows as an auditor sees them: none missing, none that nobody owed, none without an answer."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from holdfast.schemas import requests as req
from holdfast.schemas.record import Message, Record, changed
from holdfast.streams.audit_letters import Letter, Letters
from holdfast.streams.core.compile import CompiledDefinition
from support.scenario import define
from support.town import Town

PARENT, CHILD = "acme/w-1", "acme/w-1:ask.1.0"

ASKED = define(
    {"look": {"kind": "tool", "tool": "look", "next": "end"}}, name="asked", input={"type": "object", "required": ["n"]}
)


@dataclass
class Audited(Town):
    """A town whose every state and letter an auditor takes."""

    seen: Letters = field(default_factory=Letters)

    def _fold(self, message: Message[Record]) -> None:
        super()._fold(message)
        if message.meta.workflow_id in self.rows:
            self.seen.take_state(self.state(message.meta.workflow_id))

    def audit(self, without: Any = None) -> Letters:
        """What the auditor says once the inbox was read, but for letters of one type."""
        for letter in self.letters:
            if not isinstance(letter.body, without or ()):
                self.seen.take_input(letter)
        return self.seen


def asking(value: Any = None, **more: Any) -> CompiledDefinition:
    step = {"kind": "child", "definition": "asked", "input": value or {"n": 1}, "timeout": "30m", "next": "end", **more}
    return define({"ask": step}, children={"asked": ASKED.hash})


def started(definition: CompiledDefinition) -> Audited:
    town = Audited.of(ASKED, definition)
    town.start(definition)
    return town


def a_child_that_ends() -> Audited:
    town = started(asking())
    town.answer(town.take())
    return town


def a_child_that_is_stopped() -> Audited:
    town = started(asking())
    town.cancel()
    return town


def a_child_that_cannot_start() -> Audited:
    return started(asking({"m": 1}))


def a_child_whose_id_is_taken() -> Audited:
    town = Audited.of(ASKED, definition := asking())
    town.start(ASKED, "w-1:ask.1.0", {"n": 1})
    town.start(definition)
    return town


def a_child_that_is_left_to_itself() -> Audited:
    return started(asking(wait=False, on_parent_end="leave"))


@pytest.mark.parametrize(
    "play",
    [
        a_child_that_ends,
        a_child_that_is_stopped,
        a_child_that_cannot_start,
        a_child_whose_id_is_taken,
        a_child_that_is_left_to_itself,
    ],
    ids=lambda play: play.__name__,
)
def test_what_the_engine_sends_is_what_it_owes(play: Any) -> None:
    town = play()
    assert town.letters
    found = town.audit()
    assert (found.missing, found.unexpected, found.unanswered) == ((), (), ())


def test_a_start_that_was_never_sent_is_missing() -> None:
    town = started(asking())
    assert town.audit(without=req.StartWorkflow).missing == (Letter(about="start", sender=PARENT, receiver=CHILD),)


def test_a_stop_that_was_never_sent_is_missing() -> None:
    town = started(asking())
    town.held_back = True  # the child must not answer
    town.cancel()
    town._fold(town._inbox.popleft())
    assert town.audit(without=req.CancelWorkflow).missing == (Letter(about="stop", sender=PARENT, receiver=CHILD),)


def test_an_end_that_the_parent_was_never_told_is_missing() -> None:
    town = a_child_that_ends()
    ended = [letter for letter in town.letters if letter.meta.type == "ReportChildEnded"]
    town.letters = [letter for letter in town.letters if letter not in ended]
    assert town.audit().missing == (Letter(about="ended", sender=CHILD, receiver=PARENT),)


def test_a_letter_that_no_state_owed_is_unexpected() -> None:
    town = a_child_that_ends()
    forged = town.letters[0]
    town.letters.append(changed(forged, meta=changed(forged.meta, event_id="forged")))
    assert town.audit().unexpected == ((CHILD, "forged"),)


def test_a_start_that_led_to_nothing_is_unanswered() -> None:
    town = a_child_that_cannot_start()
    town.letters = [letter for letter in town.letters if letter.meta.type == "StartWorkflow"]
    assert town.audit().unanswered == (Letter(about="start", sender=PARENT, receiver=CHILD),)


def test_what_people_and_executors_send_is_no_letter() -> None:
    town = a_child_that_ends()
    from_a_person = town.letters[0]
    town.letters.append(changed(from_a_person, meta=changed(from_a_person.meta, event_id="x", actor_kind="person")))
    assert town.audit().unexpected == ()
