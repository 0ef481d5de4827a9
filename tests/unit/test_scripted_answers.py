"""Scripted answers are a pure function of the request: templates, matching, usage, faults."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.ops.scripted_model.answers import completion, rule_for
from holdfast.ops.scripted_model.faults import Faults, reply
from holdfast.ops.scripted_model.script import Fault, Script, ScriptError, load_script
from holdfast.ops.scripted_model.template import fill
from holdfast.ops.scripted_model.transcript import Transcript, read_request
from holdfast.schemas import jsontext
from holdfast.schemas.record import Json

SYSTEM: dict[str, Json] = {"role": "system", "content": "role: clerk"}
USER: dict[str, Json] = {"role": "user", "content": 'Please look at {"id": 7, "tags": ["a", "b/c"]} now'}


def request(*more: dict[str, Any], **fields: Json) -> Transcript:
    return read_request({"model": "m", "messages": [SYSTEM, USER, *more], **fields})


def asked(name: str, result: Json) -> list[dict[str, Any]]:
    call = {"id": f"id-{name}", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"id-{name}", "content": jsontext.dumps(result)},
    ]


def script(*rules: dict[str, Any], faults: tuple[dict[str, Any], ...] = ()) -> Script:
    named = [{"name": f"rule-{place}", **rule} for place, rule in enumerate(rules)]
    return Script.model_validate({"rules": named, "faults": faults})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ /user/id }}", 7),
        ("{{/user/tags/1}}", "b/c"),
        ("no {{ /user/id }} of {{ /user/tags }}", 'no 7 of ["a","b/c"]'),
        ({"a": ["{{ /user/id }}"]}, {"a": [7]}),
        ("{{ /user/nothing | a default }}", "a default"),
        ("Hello {{ /user/name | there }}!", "Hello there!"),
        ("{{ not a pointer }}", "{{ not a pointer }}"),
        (5, 5),
    ],
)
def test_placeholders_become_values_out_of_the_transcript(template: Json, expected: Json) -> None:
    assert fill(template, request().document) == expected


@pytest.mark.parametrize("pointer", ["/user/x", "/user/tags/2", "/user/tags/-1", "/user/id/deeper"])
def test_a_pointer_to_nothing_is_an_error_and_not_an_empty_text(pointer: str) -> None:
    with pytest.raises(ScriptError, match="nothing at"):
        fill(f"see {{{{ {pointer} }}}}", request().document)


def test_tool_results_are_found_by_the_name_of_the_tool() -> None:
    transcript = request(*asked("find", {"n": 1}), *asked("find", {"n": 2}))
    assert transcript.document["tools"] == {"find": {"n": 2}}
    assert transcript.turn == 2


def test_the_first_rule_whose_conditions_all_hold_answers() -> None:
    rules = script(
        {"match": {"system": "role: other"}, "answer": {"content": "0"}},
        {"match": {"system": "role: clerk", "answered": ["find"]}, "answer": {"content": "1"}},
        {"match": {"offered": ["send"]}, "answer": {"content": "2"}},
        {"match": {"turn": 1}, "answer": {"content": "3"}},
        {"match": {"user": "look at", "model": "m"}, "answer": {"content": "4"}},
    )
    tools: Json = [{"type": "function", "function": {"name": "send"}}]
    assert rule_for(rules, request(*asked("find", 1))).name == "rule-1"
    assert rule_for(rules, request(*asked("peek", 1), tools=tools)).name == "rule-2"
    assert rule_for(rules, request(*asked("peek", 1))).name == "rule-3"
    assert rule_for(rules, request()).name == "rule-4"
    with pytest.raises(ScriptError, match="turn 2"):
        rule_for(rules, read_request({"messages": [*asked("a", 1), *asked("b", 1)]}))


def test_equal_requests_get_equal_answers_and_usage() -> None:
    rules = script({"answer": {"tool_calls": [{"name": "find", "arguments": {"id": "{{ /user/id }}"}}]}})
    first, second = (completion(rules.rules[0], request()) for _ in range(2))
    assert first == second
    (call,) = first["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "find", "arguments": '{"id":7}'}
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    assert first["usage"]["total_tokens"] == first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"] > 10


def test_usage_can_be_scripted() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 40}
    rules = script({"answer": {"content": {"a": 1}}, "usage": usage})
    body = completion(rules.rules[0], request())
    assert body["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "total_tokens": 105,
        "prompt_tokens_details": {"cached_tokens": 40},
    }
    assert body["choices"][0]["message"]["content"] == '{"a":1}'


def happens(faults: Faults, rules: Script, transcript: Transcript) -> str:
    """The fault that happens to a request now; it is counted."""
    rule = rule_for(rules, transcript)
    due = faults.due(rule, transcript)
    if due is None:
        return ""
    faults.replay({"entry": "call", "fault": due[1], "fault_scope": due[2]})
    return due[0].kind


def test_a_fault_happens_so_many_times_for_each_transcript() -> None:
    rules = script({"answer": {"content": "x"}, "faults": [{"kind": "error", "times": 2}]})
    faults = Faults(rules, [])
    other = request({"role": "user", "content": "again"})
    assert [happens(faults, rules, request()) for _ in range(3)] == ["error", "error", ""]
    assert [happens(faults, rules, other) for _ in range(3)] == ["error", "error", ""]


def test_a_fault_per_conversation_does_not_hit_the_repair() -> None:
    rules = script({"answer": {"content": "x"}}, faults=({"kind": "invalid_json", "per": "conversation"},))
    faults = Faults(rules, [])
    assert happens(faults, rules, request()) == "invalid_json"
    repair = request({"role": "assistant", "content": "?"}, {"role": "user", "content": "that is not JSON"})
    assert happens(faults, rules, repair) == ""


def test_the_counts_of_faults_come_back_from_the_journal() -> None:
    rules = script({"answer": {"content": "x"}})
    fault = Fault(id="f", kind="html")
    entries: list[dict[str, object]] = [{"entry": "fault", "fault": fault.model_dump()}]
    assert happens(Faults(rules, entries), rules, request()) == "html"
    entries.append({"entry": "call", "fault": "f", "fault_scope": request().digest})
    assert happens(Faults(rules, entries), rules, request()) == ""


@pytest.mark.parametrize(
    ("kind", "paid"),
    [("rate_limit", False), ("quota", False), ("error", False), ("html", False), ("cut", True), ("length", True)],
)
def test_only_answers_that_a_model_made_are_paid(kind: str, paid: bool) -> None:
    rules = script({"answer": {"content": "a long answer"}})
    body = completion(rules.rules[0], request())
    assert reply(body, Fault.model_validate({"kind": kind})).paid is paid


@pytest.mark.parametrize(
    "text",
    ["rules: []", "rules: [{name: a}]", "rules: [{name: a, answer: {}}]", "{", "rules: [{name: a, say: {content: x}}]"],
)
def test_a_wrong_script_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "script.yaml").write_text(text)
    with pytest.raises(ScriptError, match=r"script\.yaml"):
        load_script(tmp_path / "script.yaml")


@pytest.mark.parametrize("body", [None, [], {}, {"messages": "x"}, {"messages": [], "stream": True}])
def test_what_is_no_chat_request_is_refused(body: Json) -> None:
    with pytest.raises(ScriptError):
        read_request(body)
