"""What happens when X while Y: every pair, played through the real driver; the page in `docs` says what."""

from pathlib import Path

import pytest

from holdfast.schemas import events as e
from holdfast.schemas.record import Record
from support.crossings import ACTS, ID, STATES, begun

PAGE = Path(__file__).parents[3] / "docs" / "semantics.md"
BEGIN, END = "<!-- crossings -->", "<!-- /crossings -->"


def answer(events: list[Record], held: bool) -> str:
    """In a few words, what a decision did."""
    types = {type(event) for event in events}
    code = next((event.code for event in events if isinstance(event, e.InputRejected | e.WorkflowBlocked)), "")
    table = (
        (not events, "nothing changes"),
        (e.InputRejected in types, f"refused (`{code}`)"),
        (e.WorkflowBlocked in types, f"goes to a person (`{code}`)"),
        (e.WorkflowCancelled in types, "ends it"),
        (e.ClosingStarted in types, "begins to close it; the claimed call is awaited"),
        (e.WorkflowPaused in types, "holds it"),
        (e.LateResultRecorded in types, "recorded as late"),
        (e.StepCompleted in types, "taken; its branch goes on"),
        (held, "recorded; answered on resume"),
        (e.ToolCallFailed in types, "recorded; the call is made again later"),
        (e.EventReceived in types, "kept for a wait to come"),
    )
    return next(text for holds, text in table if holds)


def crossing(state: str, act: str) -> str:
    town = begun()
    STATES[state](town)
    before = len(town.journals[ID])
    ACTS[act](town)
    return answer(town.journals[ID][before:], town.state(ID).held)


def cells() -> dict[tuple[str, str], str]:
    """What the page says, by (state, act)."""
    table = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip().splitlines()
    states = [cell.strip() for cell in table[0].strip("|").split("|")][1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    return {(state, row[0]): cell for row in rows for state, cell in zip(states, row[1:], strict=True)}


SAID = cells()


def test_the_page_has_every_pair() -> None:
    assert set(SAID) == {(state, act) for state in STATES for act in ACTS}


@pytest.mark.parametrize(("state", "act"), sorted((state, act) for state in STATES for act in ACTS))
def test_what_happens_when_one_thing_comes_upon_another(state: str, act: str) -> None:
    assert crossing(state, act) == SAID[state, act]
