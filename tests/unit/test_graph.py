"""Pictures of definitions and of runs: what stands in them, and that texts stay texts whatever they say."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from holdfast.ops.graph import svg, text
from holdfast.ops.graph.diagram import Diagram, Flow, Node, Tone, flows
from holdfast.ops.graph.facts import facts
from holdfast.ops.graph.flow import diagram_of
from holdfast.ops.graph.run import Run, run_of
from holdfast.ops.graph.svg_style import LINE, text_width
from holdfast.ops.timeline import tell
from holdfast.schemas import jsontext
from holdfast.schemas import requests as req
from holdfast.schemas.record import Message, Record
from holdfast.streams.core.definition import Definition
from support.journal_builder import WorkflowJournal
from support.scenario import Scenario, define
from support.step_kinds import STEPS, kind
from support.town import Town

Steps = dict[str, Any]
EXAMPLE = Path(__file__).parents[2] / "ops" / "examples" / "support_ticket" / "workflow.yaml"
SVG = "{http://www.w3.org/2000/svg}"


def lines_of(definition: Definition, run: Run | None = None) -> str:
    return "\n".join(line.plain.rstrip() for line in text.render(diagram_of(definition, run)))


def unchecked(steps: Steps) -> Definition:
    """A definition of these steps, whatever their texts are; the first one starts."""
    data = {"name": "free", "deadline": "1h", "start": next(iter(steps)), "steps": steps}
    return Definition.model_validate(data)


def run_in(scenario: Scenario) -> Run:
    return run_from(scenario.definition.definition, scenario.journal)


def run_from(definition: Definition, messages: list[Message[Record]]) -> Run:
    timeline = tell(messages)
    assert timeline is not None
    return run_of(definition, timeline)


def views(run: Run) -> dict[str, tuple[str, ...]]:
    """The state of each step in words, or its tone where there are none."""
    return {name: view.state or (view.tone.value,) for name, view in run.steps.items()}


LOOP: Steps = {
    "try_it": {"kind": "tool", "tool": "look", "retry": {"max_attempts": 1}, "catch": {"*": "pause"}, "next": "size"},
    "size": {
        "kind": "choice",
        "branches": [{"when": "steps.try_it.output.n > 5", "next": "end"}],
        "default": "try_it",
    },
    "pause": {"kind": "sleep", "for": "10s", "next": "try_it"},
}
LOOP_PICTURE = """\
      ●
      ├───────────────────────────┐
      ▼                           │
┌───────────┐                     │
│ try_it    │                     │
│ tool look │                     │
└─────┬─────┘                     │
      ├──────────────────┐        │
      │              any error    │
      │        ┌─────────│────────┤
      ▼        │         ▼        │
 ┌────────┐    │   ┌───────────┐  │
 │ size   │  else  │ pause     │  │
 │ choice │    │   │ sleep 10s │  │
 └────┬───┘    │   └─────┬─────┘  │
      ├────────┘         └────────┘
try_it.n > 5
      ▼
 ┌─────────┐
 │ end     │
 │ succeed │
 └─────────┘"""
PARALLEL: Steps = {
    "both": {
        "kind": "parallel",
        "branches": {"crm": "look", "mail": {"start": "hear", "when": "input.mail"}},
        "timeout": "1h",
        "next": "end",
    },
    "look": {"kind": "tool", "tool": "look", "retry": {"max_attempts": 1}, "catch": {"*": "none"}, "next": "found"},
    "found": {"kind": "succeed"},
    "none": {"kind": "succeed"},
    "hear": {"kind": "wait", "event": "told", "timeout": "30m", "next": "heard"},
    "heard": {"kind": "succeed"},
}
PARALLEL_PICTURE = """\
                              ●
                              ▼
┌──────────────────────────────────────────────────────────┐
│ both                                                     │
│ parallel all of 2                                        │
│ ╭╌ crm ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╮  ╭╌ mail if input.mail ╌╮ │
│ ╎       ●                    ╎  ╎           ●          ╎ │
│ ╎       ▼                    ╎  ╎           ▼          ╎ │
│ ╎ ┌───────────┐              ╎  ╎  ┌────────────────┐  ╎ │
│ ╎ │ look      │              ╎  ╎  │ hear           │  ╎ │
│ ╎ │ tool look │              ╎  ╎  │ wait told, 30m │  ╎ │
│ ╎ └─────┬─────┘              ╎  ╎  └────────┬───────┘  ╎ │
│ ╎       ├─────────────┐      ╎  ╎           ▼          ╎ │
│ ╎       │         any error  ╎  ╎      ┌─────────┐     ╎ │
│ ╎       ▼             ▼      ╎  ╎      │ heard   │     ╎ │
│ ╎  ┌─────────┐   ┌─────────┐ ╎  ╎      │ succeed │     ╎ │
│ ╎  │ found   │   │ none    │ ╎  ╎      └─────────┘     ╎ │
│ ╎  │ succeed │   │ succeed │ ╎  ╰╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╯ │
│ ╎  └─────────┘   └─────────┘ ╎                           │
│ ╰╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╯                           │
└─────────────────────────────┬────────────────────────────┘
                              ▼
                         ┌─────────┐
                         │ end     │
                         │ succeed │
                         └─────────┘"""


@pytest.mark.parametrize(("steps", "picture"), [(LOOP, LOOP_PICTURE), (PARALLEL, PARALLEL_PICTURE)])
def test_a_definition_as_text(steps: Steps, picture: str) -> None:
    assert lines_of(define(steps).definition) == picture


@pytest.mark.parametrize("steps", [LOOP, PARALLEL])
def test_what_is_published_looks_like_the_file_that_it_was_made_of(steps: Steps) -> None:
    """The canonical form has everything by name: the order in which things were written is lost."""
    definition = define(dict(reversed(steps.items())), start=next(iter(steps))).definition
    published = Definition.model_validate(jsontext.loads(jsontext.dumps(definition.body())))
    assert list(published.steps) != list(definition.steps)
    assert svg.render(diagram_of(published)) == svg.render(diagram_of(definition))
    assert facts(published) == facts(definition)


EVERY_KIND: Mapping[str, tuple[Steps, str]] = {
    "agent": ({"instructions": "do", "tools": ["look", "send"], "next": "end"}, "agent look, send"),
    "tool": ({"tool": "look", "next": "end"}, "tool look"),
    "approval": (
        {"tool": "send", "roles": ["lead", "chief"], "timeout": "2d", "next": "end"},
        "approval by lead or chief, 2d",
    ),
    "wait": ({"event": "told", "timeout": "90m", "next": "end"}, "wait told, 90m"),
    "sleep": (
        {"for": "1h", "within": "Mon-Fri 09:00-17:00 UTC", "next": "end"},
        "sleep 1h, within Mon-Fri 09:00-17:00 UTC",
    ),
    "choice": ({"branches": [{"when": "true", "next": "end"}], "default": "broken"}, "choice"),
    "parallel": ({"branches": {"a": "inner"}, "timeout": "1h", "next": "end"}, "parallel all of 1"),
    "map": ({"items": "${input.all}", "do": "inner", "timeout": "1h", "next": "end"}, "map ${input.all}, 10 at a time"),
    "child": ({"definition": "other", "timeout": "1h", "next": "end"}, "child other"),
    "schedule": ({"timing": {"every": "24h"}, "definition": "other", "next": "end"}, "schedule every 1d, other"),
    "assign": ({"set": {"a": 1, "b": 2}, "next": "end"}, "assign a, b"),
    "succeed": ({}, "succeed"),
    "fail": ({"error": "gave_up"}, "fail gave_up"),
}


def test_every_kind_of_step_is_told_of() -> None:
    assert list(EVERY_KIND) == [kind(cls) for cls in STEPS]


@pytest.mark.parametrize("name", EVERY_KIND)
def test_a_step_says_what_it_does(name: str) -> None:
    body, said = EVERY_KIND[name]
    inner = {"inner": {"kind": "succeed"}} if "inner" in str(body) else {}
    definition = unchecked(
        {"it": {"kind": name, **body}, **inner, "end": {"kind": "succeed"}, "broken": {"kind": "fail"}}
    )
    nodes = {node.name: node for flow in flows(diagram_of(definition).flow) for node in flow.nodes}
    assert " ".join(nodes["it"].lines) == said


def test_a_wait_for_the_first_of_several_events_names_them_all() -> None:
    wait = {"kind": "wait", "events": [{"event": "told"}, {"event": "gone"}], "timeout": "2d", "next": "end"}
    node = diagram_of(unchecked({"it": wait, "end": {"kind": "succeed"}})).flow.nodes[1]
    assert node.lines == ("wait told or gone, 2d",)


@pytest.mark.parametrize(
    ("when", "label"),
    [
        ("steps.size.output.cents > 50", ("size.cents > 50",)),
        ("steps.a.output.results.credit.score > 700 && true", ("a.results.credit.score >", "700 && true")),
        (f"input.{'x' * 40} == 1 || input.b == 2 || input.c == 3", ("input.", f"{'x' * 26}…")),
        ("input.a == 1 || input.b == 2 || input.c == 3", ("input.a == 1 || input.b ==", "2 || input.c == 3")),
        ("input.a\n  ==\n  1", ("input.a == 1",)),
    ],
)
def test_a_condition_is_shortened_on_its_line_and_whole_behind_it(when: str, label: tuple[str, ...]) -> None:
    pick = {"kind": "choice", "branches": [{"when": when, "next": "yes"}], "default": "no"}
    definition = unchecked({"pick": pick, "yes": {"kind": "succeed"}, "no": {"kind": "succeed"}})
    (edge,) = [edge for edge in diagram_of(definition).flow.edges if edge.target == "yes"]
    assert edge.label == label
    assert edge.hint == " ".join(when.split())


def test_ways_from_one_step_to_another_are_one_line_with_all_that_is_said_of_them() -> None:
    catch = {"timeout": "end", "unavailable": "broken", "*": "broken"}
    definition = define({"it": {"kind": "tool", "tool": "look", "next": "end", "catch": catch}}).definition
    found = {edge.target: edge for edge in diagram_of(definition).flow.edges}
    assert found["end"].label == ("next, timeout",)
    assert (found["end"].main, found["end"].exceptional) == (True, False)
    assert found["broken"].label == ("unavailable, any error",)
    assert (found["broken"].main, found["broken"].exceptional) == (False, True)


def test_a_run_counts_visits_and_ways() -> None:
    scenario = Scenario(define(LOOP))
    scenario.start()
    scenario.tool_result(scenario.take(), {"n": 1})
    scenario.failure(scenario.take(), "unavailable")
    scenario.fire()
    scenario.tool_result(scenario.take(), {"n": 2})
    scenario.tool_result(scenario.take(), {"n": 9})
    run = run_in(scenario)
    assert views(run) == {"try_it": ("done \u00d74",), "size": ("done \u00d73",), "pause": ("done",), "end": ("done",)}
    assert run.ways == {
        ("try_it", "size"): 3,
        ("try_it", "pause"): 1,
        ("size", "try_it"): 2,
        ("size", "end"): 1,
        ("pause", "try_it"): 1,
    }
    picture = lines_of(scenario.definition.definition, run)
    assert "│ done \u00d74   │" in picture
    assert " else " in picture
    assert "━" in picture


def test_a_step_that_waits_says_until_when_and_what_may_follow_is_ahead() -> None:
    scenario = Scenario(define(LOOP))
    scenario.start()
    scenario.failure(scenario.take(), "unavailable")
    run = run_in(scenario)
    assert views(run) == {
        "try_it": ("failed", "unavailable"),
        "size": ("ahead",),
        "pause": ("waiting", "until 1970-01-01 00:16:50 UTC"),
        "end": ("ahead",),
    }
    assert run.steps["pause"].until_ms == scenario.now_ms + 10_000


def test_branches_side_by_side_each_have_their_own_fate() -> None:
    scenario = Scenario(define(PARALLEL))
    scenario.start({"mail": True})
    scenario.failure(scenario.take(), "unavailable")
    run = run_in(scenario)
    assert views(run) == {
        "both": ("running",),
        "look": ("failed", "unavailable"),
        "found": ("not taken",),
        "none": ("done",),
        "hear": ("waiting", "until 1970-01-01 00:46:40 UTC"),
        "heard": ("ahead",),
        "end": ("ahead",),
    }
    fates = {place: (view.tone, view.entered) for place, view in run.flows.items()}
    assert fates == {("", ""): (Tone.PLAIN, 1), ("both", "crm"): (Tone.DONE, 1), ("both", "mail"): (Tone.RUNNING, 1)}


def test_a_branch_whose_condition_did_not_hold_was_not_taken() -> None:
    scenario = Scenario(define(PARALLEL))
    scenario.start({"mail": False})
    run = run_in(scenario)
    assert (views(run)["hear"], views(run)["heard"]) == (("not taken",), ("not taken",))
    assert run.flows["both", "mail"].tone is Tone.SKIPPED


def test_what_was_cancelled_with_the_workflow_says_so() -> None:
    scenario = Scenario(define({"hear": {"kind": "wait", "event": "told", "timeout": "30m", "next": "end"}}))
    scenario.start()
    scenario.cancel()
    run = run_in(scenario)
    assert run.status == "cancelled"
    assert run.steps["hear"].tone is Tone.CANCELLED
    assert views(run)["end"] == ("not taken",)


def test_a_blocked_step_says_why_and_a_paused_one_that_it_is() -> None:
    scenario = Scenario(define({"pay": {"kind": "tool", "tool": "pay", "next": "end"}}))
    scenario.start()
    task = scenario.take()
    scenario.claim(task)
    scenario.failure(task, "unavailable", outcome_unknown=True)
    assert views(run_in(scenario))["pay"] == ("blocked", "outcome_unknown")

    scenario = Scenario(define({"look": {"kind": "tool", "tool": "look", "next": "end"}}))
    scenario.start()
    scenario.feed(req.PauseWorkflow(reason="moving"))
    assert views(run_in(scenario))["look"] == ("paused",)


def test_a_step_that_an_operator_skipped_led_on_all_the_same() -> None:
    scenario = Scenario(define(LOOP))
    scenario.start()
    scenario.failure(scenario.take(), "unavailable")
    scenario.feed(req.SkipStep(step="pause", output=None, reason="no time"))
    run = run_in(scenario)
    assert views(run)["pause"] == ("skipped",)
    assert run.ways["pause", "try_it"] == 1


def test_what_was_undone_is_told_beside_what_was_done() -> None:
    book = {"kind": "tool", "tool": "send", "compensate": {"tool": "look"}, "next": "hear"}
    hear = {"kind": "wait", "event": "told", "timeout": "30m", "next": "end"}
    scenario = Scenario(define({"book": book, "hear": hear}))
    scenario.start()
    scenario.tool_result(scenario.take(), {})
    scenario.cancel()
    assert views(run_in(scenario))["book"] == ("running", "being undone")
    scenario.tool_result(scenario.take(), {})
    assert views(run_in(scenario))["book"] == ("done", "undone")


def test_items_have_journals_of_their_own_and_are_counted_in_the_one_that_started_them() -> None:
    each = {"kind": "map", "items": "${input.all}", "do": "look", "timeout": "1h", "max_failures": 1, "next": "end"}
    look = {"kind": "tool", "tool": "look", "retry": {"max_attempts": 1}, "next": "seen"}
    definition = define({"each": each, "look": look, "seen": {"kind": "succeed"}})
    town = Town.of(definition)
    town.start(definition, value={"all": [1, 2, 3]})
    town.answer(town.take())
    town.fail(town.take())

    whole = run_from(definition.definition, journal_of(town, "w-1"))
    assert views(whole) == {"each": ("running", "2 of 3 items ended, 1 failed"), "end": ("ahead",)}
    assert whole.flows["each", ""].entered == 3
    item = run_from(definition.definition, journal_of(town, "w-1:each.1.0"))
    assert views(item) == {"look": ("done",), "seen": ("done",)}
    assert list(item.flows) == [("each", "")]


def test_a_child_is_named_where_it_was_started() -> None:
    child = define({"look": {"kind": "tool", "tool": "look", "next": "end"}}, name="child")
    ask = {"kind": "child", "definition": "child", "timeout": "30m", "next": "end"}
    definition = define({"ask": ask}, children={"child": child.hash})
    town = Town.of(child, definition)
    town.start(definition)
    run = run_from(definition.definition, journal_of(town, "w-1"))
    assert views(run)["ask"] == ("running", "w-1:ask.1.0")


def journal_of(town: Town, workflow_id: str) -> list[Message[Record]]:
    journal = WorkflowJournal(workflow_id=workflow_id)
    journal.decide(*town.journals[workflow_id])
    return journal.messages


def test_facts_are_the_picture_as_data() -> None:
    scenario = Scenario(define(PARALLEL))
    scenario.start({"mail": True})
    scenario.failure(scenario.take(), "unavailable")
    told = facts(scenario.definition.definition, run_in(scenario))
    steps = {step["step"]: step for step in told["steps"]}
    assert steps["hear"] == {
        "step": "hear",
        "kind": "wait",
        "opened_by": "both",
        "branch": "mail",
        "status": "waiting",
        "visits": 1,
        "until_ms": scenario.now_ms + 1_800_000,
    }
    assert {"from": "look", "to": "none", "when": ["any error"], "taken": 1} in told["ways"]
    plain = facts(scenario.definition.definition)
    assert {step["status"] for step in plain["steps"]} == {""}
    assert [way["taken"] for way in plain["ways"]] == [0] * len(told["ways"])


HOSTILE = "</style><script>alert(1)</script> \" ' & \x07 \u202e ]]> 🦆"


def hostile() -> Diagram:
    """A picture of texts that want to be markup, in every place that takes free text."""
    steps = {
        "it": {"kind": "tool", "tool": HOSTILE, "purpose": HOSTILE, "next": "pick", "catch": {HOSTILE: "no"}},
        "pick": {"kind": "choice", "branches": [{"when": HOSTILE, "next": "yes"}], "default": "no"},
        "yes": {"kind": "parallel", "branches": {"a": {"start": "a", "when": HOSTILE}}, "timeout": "1h", "next": "no"},
        "a": {"kind": "wait", "event": "told", "correlation": HOSTILE, "timeout": "1h", "next": "a_end"},
        "a_end": {"kind": "succeed"},
        "no": {"kind": "fail", "error": HOSTILE},
    }
    return diagram_of(unchecked(steps))


def test_hostile_texts_stay_texts_in_svg() -> None:
    picture = svg.render(hostile())
    root = ElementTree.fromstring(picture)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "desc", "style", "rect", "text", "g", "circle", "path"}
    names = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or name.endswith("href")]
    assert "\x07" not in picture
    assert "\u202e" not in picture
    assert "🦆" in picture


def test_hostile_texts_stay_texts_in_a_terminal() -> None:
    lines = [line.plain for line in text.render(hostile())]
    assert all(character.isprintable() for line in lines for character in line)


def test_svg_stands_alone_in_light_and_dark_and_in_words() -> None:
    scenario = Scenario(define(PARALLEL))
    scenario.start({"mail": True})
    picture = svg.render(diagram_of(scenario.definition.definition, run_in(scenario)))
    assert re.findall(r"https?://[^\"]*", picture) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|url\(|@font-face", picture)
    root = ElementTree.fromstring(picture)
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]
    assert title.text == "w-1: test, running"
    said = description.text or ""
    assert [step for step in PARALLEL if not re.search(rf"^{step}, ", said, re.MULTILINE)] == []
    assert "hear, wait told, 30m in both/mail: waiting, until 1970-01-01 00:46:40 UTC; leads to heard." in said


def test_every_colour_has_another_one_in_the_dark() -> None:
    light, _, dark = svg.render(diagram_of(define(LOOP).definition)).partition("@media (prefers-color-scheme: dark)")
    in_light, in_dark = (re.findall(r"#[0-9a-f]{6}", part) for part in (light, dark))
    assert len(in_light) == len(in_dark) > 20
    assert not set(in_light) & set(in_dark)


@pytest.mark.parametrize(("narrow", "broad"), [("iii", "www"), ("abc", "ABC"), ("ab", "異常"), ("a", "aa")])
def test_the_room_for_a_text_goes_by_its_characters(narrow: str, broad: str) -> None:
    assert text_width(narrow, LINE) < text_width(broad, LINE)


def test_wide_characters_take_two_columns_and_break_no_border() -> None:
    node = Node(name="n", kind="tool", title="異常", lines=("e\u0301 é",))
    picture = text.render(Diagram(title="", description="", flow=Flow(name="", nodes=(node,), edges=())))
    assert [line.plain for line in picture] == ["┌──────┐", "│ 異常 │", "│ e\u0301 é  │", "└──────┘"]


def test_the_picture_is_the_same_whatever_order_sets_have() -> None:
    program = (
        "import sys; from pathlib import Path; from holdfast.ops.graph import svg; "
        "from holdfast.ops.graph.flow import diagram_of; from holdfast.streams.definition_file import read_document; "
        "definition = read_document(Path(sys.argv[1]).read_text(), '').inspect({}, {}).definition; "
        "assert definition; sys.stdout.write(svg.render(diagram_of(definition)))"
    )
    pictures = {
        subprocess.run(
            [sys.executable, "-c", program, str(EXAMPLE)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(pictures) == 1
    assert "approve" in pictures.pop()
