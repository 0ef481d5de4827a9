"""A shadow run: the recorded inputs of a workflow, decided over again by another definition."""

from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.schemas import jsontext
from holdfast.schemas import requests as req
from holdfast.streams.core.replay import decisions, first_divergence
from holdfast.streams.core.subscriptions import subscriptions
from support.scenario import Scenario, define

Steps = dict[str, Any]
FIND: Steps = {"kind": "tool", "tool": "look", "arguments": {"n": "${input.n}"}, "next": "pick"}
PICK: Steps = {"kind": "choice", "branches": [{"when": "steps.find.output.n > 5", "next": "hear"}], "default": "end"}
HEAR: Steps = {"kind": "wait", "event": "told", "timeout": "1h", "next": "end"}
STEPS: Steps = {"find": FIND, "pick": PICK, "hear": HEAR}


def played() -> Scenario:
    scenario = Scenario(define(STEPS))
    scenario.start({"n": 1})
    scenario.failure(scenario.take(), "unavailable")
    scenario.fire()
    scenario.tool_result(scenario.take(), {"n": 7})
    scenario.pause()
    scenario.deliver("told", {"said": "yes"})
    scenario.resume()
    assert scenario.state.status == "completed"
    return scenario


def test_the_same_definition_goes_the_same_way() -> None:
    assert first_divergence(played().journal, define(STEPS)) is None


@pytest.mark.parametrize("broadcast", [False, True])
def test_a_published_event_is_read_back_as_one(broadcast: bool) -> None:
    scenario = Scenario(define({"hear": HEAR}))
    scenario.start({"n": 1})
    ((subscription, _, _),) = subscriptions(scenario.state)
    handed = req.DeliverEvent(
        event_type="told",
        correlation="",
        payload=1,
        subscription_id=subscription,
        source_id="published-1",
        broadcast=broadcast,
    )
    scenario.feed(handed, "handed-1")
    assert scenario.state.status == "completed"
    assert first_divergence(scenario.journal, scenario.definition) is None


def test_that_a_server_asked_to_wait_for_too_long_is_read_back() -> None:
    scenario = Scenario(
        define(
            {
                "think": {"kind": "agent", "instructions": "x", "retry": {"max_elapsed": "3s"}, "next": "end"},
                "end": {"kind": "succeed"},
            }
        )
    )
    scenario.start({"n": 1})
    scenario.failure(scenario.take(), "rate_limited", retryable=True, retry_after_ms=60_000)
    assert scenario.state.status == "failed"
    assert first_divergence(scenario.journal, scenario.definition) is None


def test_a_definition_that_only_differs_where_nothing_happened_goes_the_same_way() -> None:
    more: Steps = {**STEPS, "pick": {**PICK, "default": "broken"}}
    assert first_divergence(played().journal, define(more)) is None


def test_the_first_decision_that_would_be_another_is_reported() -> None:
    stricter: Steps = {**STEPS, "pick": {**PICK, "branches": [{"when": "steps.find.output.n > 9", "next": "hear"}]}}
    scenario = played()
    found = first_divergence(scenario.journal, define(stricter))
    assert found is not None
    assert isinstance(found.recorded, e.StepCompleted)
    assert (found.recorded.step, found.recorded.next_step) == ("pick", "hear")
    assert isinstance(found.candidate, e.StepCompleted)
    assert found.candidate.next_step == "end"
    assert scenario.journal[found.sequence - 1].body == found.recorded
    assert found.reason == "StepCompleted would be another one"
    assert found.step == "pick"


def test_a_decision_that_would_be_shorter_or_longer_is_reported() -> None:
    earlier: Steps = {"find": {**FIND, "retry": {"max_attempts": 1}}, "pick": PICK, "hear": HEAR}
    found = first_divergence(played().journal, define(earlier))
    assert found is not None
    assert isinstance(found.candidate, e.ToolCallFailed)
    assert found.candidate.retry_at_ms == 0


def test_an_input_that_would_be_refused_is_reported_with_the_reason() -> None:
    deaf: Steps = {**STEPS, "hear": {**HEAR, "event": "written"}}
    found = first_divergence(played().journal, define(deaf))
    assert found is not None
    assert isinstance(found.recorded, e.WaitStarted)


def test_an_input_that_the_candidate_refuses_is_told_in_its_words() -> None:
    strict = define(STEPS, input={"type": "object", "required": ["m"]})
    found = first_divergence(played().journal, strict)
    assert found is not None
    assert (found.sequence, found.candidate) == (1, None)
    assert found.reason.startswith("WorkflowStarted would not follow: Expected an input that fits")


def test_a_decision_that_was_never_completed_is_left_out() -> None:
    journal = played().journal
    cut = next(place for place, message in enumerate(journal) if message.meta.index == 0 and message.meta.count > 1)
    assert sum(len(decision) for decision in decisions(journal[: cut + 1])) == cut


def test_json_is_put_into_the_order_of_its_canonical_text() -> None:
    value: Any = {"b": [{"d": 1, "c": 2}], "a": 1}
    ordered = jsontext.in_order(value)
    assert repr(ordered) == repr(jsontext.loads(jsontext.dumps(value)))
    assert jsontext.in_order(ordered) is ordered
