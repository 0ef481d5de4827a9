"""The demo's judgement and words. That it really does what it says is seen in tests/e2e."""

import io
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console

from holdfast.ops.commands.demo import exit_code
from holdfast.ops.demo import example, story
from holdfast.ops.demo.figures import JSON_KEYS, Figures, mistakes
from holdfast.ops.demo.screen import sums
from holdfast.ops.demo.stage import OPENAI_MODEL, OPENAI_URL, real_model
from holdfast.ops.errors import CommandError
from holdfast.ops.settings import Settings
from holdfast.schemas import events as e
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.tools import registry_from_modules

GOOD = Figures(
    duration_s=20.5,
    kills=4,
    emails_sent=1,
    email_requests=2,
    paid_model_calls=4,
    recorded_model_intents=4,
    journal_events=48,
    clickhouse_events=48,
    events_differ=0,
    rows_differ=0,
    tasks_missing=0,
    chain_ok=True,
)
WRONG: dict[str, Any] = {
    "kills": 3,
    "emails_sent": 2,
    "paid_model_calls": 5,
    "journal_events": 0,
    "clickhouse_events": 47,
    "events_differ": 1,
    "rows_differ": 1,
    "tasks_missing": 1,
    "chain_ok": False,
}


def printed(figures: Figures, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(sums(figures))
    return console.export_text().splitlines()


def test_figures_that_add_up_are_a_success() -> None:
    assert (list(mistakes(GOOD)), exit_code(GOOD)) == ([], 0)


@pytest.mark.parametrize("name", WRONG)
def test_any_figure_that_is_off_is_a_failure(name: str) -> None:
    off = replace(GOOD, **{name: WRONG[name]})
    assert exit_code(off) == 1
    assert list(mistakes(off))


def test_no_email_is_as_wrong_as_two() -> None:
    assert exit_code(replace(GOOD, emails_sent=0)) == 1


def test_with_a_real_model_nobody_knows_what_was_paid_and_that_is_no_failure() -> None:
    real = replace(GOOD, paid_model_calls=None)
    assert exit_code(real) == 0
    (line,) = [line for line in printed(real, 120) if line.startswith("model calls paid")]
    assert "?" in line
    assert "ok" not in line


def test_the_json_has_the_documented_keys_and_no_other() -> None:
    assert tuple(GOOD.as_json()) == JSON_KEYS
    assert GOOD.as_json()["recorded_model_intents"] == 4


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    lines = printed(GOOD, 80)
    assert len(lines) == 8  # a line for the titles and one for each figure: none is broken in two
    assert [line for line in lines if "WRONG" in line] == []


@pytest.mark.parametrize("name", sorted(WRONG.keys() - {"kills", "journal_events"}))
def test_the_table_points_at_what_is_wrong(name: str) -> None:
    assert [line for line in printed(replace(GOOD, **{name: WRONG[name]}), 80) if line.endswith("WRONG")]


def message(body: Record, actor: str = "engine") -> Message[Record]:
    meta = EventMeta(
        event_id="e",
        type=type(body).__name__,
        tenant="default",
        workflow_id="t-1",
        actor_kind="person",
        actor_id=actor,
        occurred_at_ms=0,
    )
    return Message(meta=meta, body=body)


def answered(provider: str) -> Message[Record]:
    return message(
        e.ModelCallCompleted(
            step="draft",
            visit=1,
            turn=1,
            effect_key="k",
            attempt=1,
            executor_id="x",
            provider=provider,
            model="m",
            response={},
            finish_reason="stop",
            input_tokens=1,
            output_tokens=1,
            cached_tokens=0,
            cost_microusd=0,
            duration_ms=1,
        )
    )


DRAFTED = message(
    e.StepCompleted(step="draft", visit=1, kind="agent", output={"subject": "Re: x", "body": "y"}, next_step="approve")
)


@pytest.mark.parametrize(("provider", "who"), [("scripted", "agent (scripted)"), ("api.openai.com", "agent")])
def test_the_agent_is_called_scripted_when_its_events_say_so(provider: str, who: str) -> None:
    teller = story.Storyteller()
    assert teller.tell(answered(provider)) is None
    assert teller.tell(DRAFTED) == (who, 'drafts the e-mail "Re: x"')


def test_the_reviewer_is_named() -> None:
    decided = e.ApprovalDecided(
        step="approve", visit=1, approval_id="a", decision="approve", action_hash="h", comment=""
    )
    assert story.Storyteller().tell(message(decided, "lea (demo)")) == ("lea (demo)", "approves it")


def test_what_is_no_part_of_the_story_is_left_out() -> None:
    assert story.Storyteller().tell(message(e.TimerFired(timer_id="t", due_at_ms=1))) is None


def test_the_example_is_found_and_its_definition_is_without_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = example.examples_folder()
    monkeypatch.syspath_prepend(examples)
    definition = example.load_definition(examples)
    assert definition.name == "support-ticket"
    assert set(definition.tools) <= set(registry_from_modules([example.TOOL_MODULE]))


KEY = SecretStr("sk-x")


def settings(**given: Any) -> Settings:
    return Settings.model_construct(**{"model_base_url": None, "model_api_key": None, "model_name": None, **given})


def test_without_a_key_and_an_address_the_answers_are_scripted() -> None:
    assert real_model(settings()) is None
    assert real_model(settings(model_name="x")) is None


def test_a_key_alone_means_openai() -> None:
    model = real_model(settings(model_api_key=KEY))
    assert model == {"model_base_url": OPENAI_URL, "model_api_key": KEY, "model_name": OPENAI_MODEL}


def test_another_server_needs_the_name_of_its_model() -> None:
    address = "http://127.0.0.1:8080/v1"
    with pytest.raises(CommandError, match="which model"):
        real_model(settings(model_base_url=address))
    assert real_model(settings(model_base_url=address, model_name="x")) == {
        "model_base_url": address,
        "model_api_key": None,
        "model_name": "x",
    }
