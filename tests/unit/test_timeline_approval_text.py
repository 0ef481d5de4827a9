"""What a person sees who is asked to allow a call."""

from typing import Any

import pytest
from rich.console import Console

from holdfast.ops.approval_text import Question, chosen_hash, in_words, listed, question_of, render

HASH = "0123456789abcdef" * 4
NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
ROW: dict[str, Any] = {
    "tenant": "acme",
    "workflow_id": "w-1",
    "approval_id": "a217de9a-899f-8b0d-a966-e8c2684fb00c",
    "definition_name": "support",
    "step": "send",
    "tool": "send_email",
    "action_hash": HASH,
    "summary": "Send it?",
    "arguments": '{"to":"a@b.c","body":"Hello,\\n\\nyes.","count":2}',
    "roles": '["lead","chief"]',
    "requested_at": "2026-01-01 00:00:00.000",
    "expires_at": "2026-01-01 01:00:00.000",
    "decided_at": "1970-01-01 00:00:00.000",
    "decided_by": "",
    "decision": "",
    "comment": "",
    "used_by": "",
    "status": "open",
}
DECIDED = {
    **ROW,
    "status": "decided",
    "decision": "reject",
    "decided_by": "bea",
    "decided_at": "2026-01-01 00:10:00.000",
    "comment": "No.",
}


def question(**changes: Any) -> Question:
    return question_of({**ROW, **changes}, step="approve", started_by="ann")


def text_of(asked: Question) -> str:
    console = Console(width=120, color_system=None, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(render(asked, NOW_MS, with_next=True))
    return captured.get()


def test_an_open_approval_shows_the_exact_call_its_hash_and_how_to_decide() -> None:
    text = text_of(question())
    lines = [line.strip() for line in text.splitlines()]
    assert "approval a217de9a-899f-8b0d-a966-e8c2684fb00c  open" in text
    assert "started by  ann, who may not decide" in text
    assert "asks        lead or chief" in text
    assert "expires     2026-01-01 01:00:00 UTC (in 1h)" in text
    assert f"hash        {HASH}" in text
    assert "to        a@b.c" in lines
    assert "count     2" in lines
    body = lines.index("body      Hello,")
    assert lines[body : body + 3] == ["body      Hello,", "", "yes."]
    assert "next  holdfast approvals approve a217de9a --hash 0123456789ab" in text
    assert "next  holdfast approvals reject a217de9a --hash 0123456789ab" in text


def test_a_decided_approval_shows_who_decided_and_offers_no_decision() -> None:
    asked = question(**DECIDED)
    assert (asked.status, asked.decided_at_ms) == ("rejected", NOW_MS + 600_000)
    text = text_of(asked)
    assert "decided     rejected by bea, 2026-01-01 00:10:00 UTC" in text
    assert "comment     No." in text
    assert "next" not in text


def test_arguments_cannot_draw_on_the_reviewers_screen() -> None:
    text = text_of(question(arguments='{"to":"a@b.c\\u001b[2K\\u202e","x\\u001b[1A":"y"}'))
    assert not {"\x1b", "\u202e"} & set(text)
    assert "a@b.c\\x1b[2K\\u202e" in text


def test_a_long_argument_is_shown_to_its_last_character() -> None:
    value = "".join(f"{number:04}" for number in range(1_000))
    text = text_of(question(arguments=f'{{"body":"{value}"}}'))
    shown = "".join(line.removeprefix("body").strip() for line in text.splitlines())
    assert value in shown


@pytest.mark.parametrize(
    ("given", "decided_about"),
    [("", HASH), (HASH, HASH), (HASH[:12], HASH), (HASH[:11], HASH[:11]), ("f" * 12, "f" * 12)],
)
def test_only_a_long_enough_beginning_of_the_shown_hash_stands_for_it(given: str, decided_about: str) -> None:
    assert chosen_hash(question(), given) == decided_about


def test_a_list_of_approvals_is_short_for_people_and_complete_as_json() -> None:
    row = listed(ROW)
    assert row["roles"] == ["lead", "chief"]
    assert (row["action_hash"], row["expires_at_ms"]) == (HASH, NOW_MS + 3_600_000)
    assert in_words(row, NOW_MS) == {
        "approval": "a217de9a",
        "workflow": "w-1",
        "tool": "send_email",
        "summary": "Send it?",
        "asks": "lead or chief",
        "expires": "in 1h",
        "hash": "0123456789ab",
    }
