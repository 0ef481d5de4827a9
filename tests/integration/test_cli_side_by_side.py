"""The contracts example as people use it: applied, started, watched, answered, down to what its parts do."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from support.cli import EXAMPLES, Cli, environment, new_id

CONTRACTS = EXAMPLES / "contracts"
REVIEW, SIGNATURE = str(CONTRACTS / "review.yaml"), str(CONTRACTS / "signature.yaml")
PENALTY = 1
"""The clause that needs a person's word."""


@pytest.fixture(scope="module")
def cli(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A running project without executors, with the example published."""
    folder, prefix = tmp_path_factory.mktemp("project"), f"t{uuid.uuid4().hex[:10]}."
    project = Cli(folder, environment(folder / "home", broker, prefix), broker.bootstrap, prefix)
    try:
        project.ok("up", "--detach", "--roles", "orchestrator,sink")
        assert "there is no published definition 'contract-signature'" in project("apply", REVIEW).err
        project.ok("apply", REVIEW, SIGNATURE)
        yield project
    finally:
        project.forget()


def started(cli: Cli) -> str:
    contract_id = new_id()
    given = ("--input", f"@{CONTRACTS / 'contract.json'}", "--as", "ann")
    cli.ok("start", "contract-review", "--id", contract_id, *given)
    return contract_id


def in_the_clauses(cli: Cli) -> str:
    """A contract that waits for a word about one of its clauses."""
    contract_id = started(cli)
    cli.ok("signal", contract_id, "partner.checked", "--data", '{"known": true}')
    cli.shows(clause(contract_id), lambda told: told["status"] == "waiting")
    cli.shows(contract_id, lambda told: items_of(told)["ended"] == 2)
    return contract_id


def clause(contract_id: str) -> str:
    return f"{contract_id}:clauses.1.{PENALTY}"


def items_of(told: Any) -> Any:
    found = [item for entry in told["story"] for item in entry.get("items", ()) if item["type"] == "items"]
    return found[0] if found else {"ended": -1}


def test_a_contract_from_two_offices_over_its_clauses_to_the_signature(cli: Cli) -> None:
    contract_id = started(cli)
    cli.shows(contract_id, lambda told: [matter["kind"] for matter in told["waits_for"]] == ["event"])
    text = cli.ok("show", contract_id).out
    assert re.search(r"offices +parallel, running\n.*  branch finance +completed\n.*    value +choice", text)
    assert re.search(r"  branch legal +running\n.*    partner +wait, running\n.*      event partner.checked", text)
    assert f"next  holdfast signal {contract_id} partner.checked --data '{{}}'" in text

    cli.ok("signal", contract_id, "partner.checked", "--data", '{"known": true}')
    asked = clause(contract_id)
    # The tables tell where the item stands of which the workflow itself has heard nothing.
    text = cli.says(f"{asked}: waiting at opinion", "show", contract_id)
    assert f"item {PENALTY}" in text
    assert "2 of 3 ended, 1 under way (1 waiting)" in text
    assert f"next  holdfast list --parent {contract_id}" in text
    own = cli.ok("show", asked).out
    assert f"parent      {contract_id}, step clauses, item {PENALTY} from clause on" in own
    assert f"next  holdfast signal {asked} clause.decided --data '{{}}'" in own

    cli.ok("signal", asked, "clause.decided", "--data", '{"accept": true}')
    signing = f"{contract_id}:sign.1.0"
    told = cli.shows(contract_id, lambda told: [matter["kind"] for matter in told["waits_for"]] == ["child"])
    assert told["waits_for"][0]["command"] == f"holdfast show {signing}"
    cli.shows(signing, lambda told: told["status"] == "waiting")
    assert cli.says(f"the workflow {signing}, waiting at wait_for_it, until", "show", contract_id)
    cli.ok("signal", signing, "contract.signed", "--correlation", "mia")
    told = cli.shows(contract_id, lambda told: told["status"] == "completed")
    assert told["output"] == {"signed_by": "mia", "risk": "high", "clauses": 3}


def test_a_clause_that_is_refused_refuses_the_contract_and_says_where_to_look(cli: Cli) -> None:
    contract_id = in_the_clauses(cli)
    cli.ok("signal", clause(contract_id), "clause.decided", "--data", '{"accept": false}')
    told = cli.shows(contract_id, lambda told: told["status"] == "failed")
    assert told["error_class"] == "contract_refused"
    why = f"{clause(contract_id)}: failed: refused: Clause {PENALTY} of Supply of paper is refused."
    text = cli.says(why, "show", contract_id)
    assert f"next  holdfast show {clause(contract_id)}" in text


def test_a_contract_that_is_cancelled_takes_its_clauses_along(cli: Cli) -> None:
    contract_id = in_the_clauses(cli)
    cli.ok("cancel", contract_id, "--reason", "Not needed.")
    cli.shows(clause(contract_id), lambda told: told["status"] == "cancelled")
    assert cli.says("2 of 3 ended, 1 cancelled", "show", contract_id)


def test_lists_show_what_others_started_only_if_asked(cli: Cli) -> None:
    contract_id = in_the_clauses(cli)

    def listed(*arguments: str) -> dict[str, Any]:
        rows = cli.ok("list", "--limit", "1000", "--json", *arguments).json
        return {row["workflow_id"]: row for row in rows}

    asked = clause(contract_id)
    cli.lists(asked, "waiting", "--children")
    assert contract_id in listed()
    assert asked not in listed()
    assert asked in listed("--children")
    below = listed("--parent", contract_id)
    assert set(below) == {f"{contract_id}:clauses.1.{index}" for index in range(3)}
    assert (below[asked]["parent_id"], below[asked]["status"], below[asked]["steps"]) == (
        contract_id,
        "waiting",
        ["opinion"],
    )
    assert {row["parent_id"] for row in listed().values()} == {""}
    ran = cli.ok("list", "--status", "waiting")
    assert asked not in ran.out
    assert "(--children)" in ran.err
    assert "(--children)" not in cli.ok("list", "--status", "waiting", "--children").err
    assert contract_id in cli.ok("list", "--children", "--status", "waiting").out


def test_the_tree_below_a_workflow_is_one_question(cli: Cli) -> None:
    contract_id = in_the_clauses(cli)
    asked = ("sql", "-q", "children", "-p", f"workflow={contract_id}")
    clauses = [f"{contract_id}:clauses.1.{index}" for index in range(3)]
    assert cli.until(lambda rows: [row["workflow_id"] for row in rows] == clauses, *asked)
    assert "nothing is wrong" in cli.ok("audit", "verify").out


def test_a_definition_shows_its_branches_and_what_it_pinned(cli: Cli) -> None:
    text = cli.ok("definitions", "show", "contract-review").out
    assert re.search(r"\noffices +parallel .*\n  value +choice ", text)
    assert re.search(r"\n  known +succeed .* the end of legal\n", text)
    assert re.search(r"\n  fine +succeed .* the end of the item\n", text)
    (signature,) = [row for row in cli.ok("definitions", "list", "--json").json if row["name"] == "contract-signature"]
    assert re.search(rf"\ncontract-signature +{signature['definition_hash'][:12]}\n", text)


def test_definitions_are_applied_in_the_order_in_which_they_start_each_other(cli: Cli) -> None:
    one, two = (f"{name}-{uuid.uuid4().hex[:8]}" for name in "ab")
    starter = cli.file(
        f"name: {one}\ndeadline: 1h\nstart: ask\nsteps:\n"
        f"  ask: {{kind: child, definition: {two}, timeout: 1h, next: end}}\n  end: {{kind: succeed}}\n"
    )
    started_ = f"name: {two}\ndeadline: 1h\nstart: end\nsteps: {{end: {{kind: succeed}}}}\n"

    dry = cli.ok("apply", "--dry-run", "--json", starter, first := cli.file(started_)).json
    assert [(row["name"], row["status"]) for row in dry] == [(two, "new"), (one, "new")]
    assert cli("definitions", "show", two).code == 1
    rows = cli.ok("apply", "--json", starter, first).json
    assert rows[1]["children"] == {two: rows[0]["definition_hash"]}
    assert cli.ok("start", one, "--wait", "--json").json["status"] == "completed"

    newer = cli.ok("apply", cli.file(started_.replace("1h", "2h")))
    assert f"{one} starts {two} as it was before" in newer.err
    again = cli.ok("apply", "--json", starter)
    assert again.json[0]["status"] == "new version"
    assert "as it was before" not in again.err


def test_a_circle_is_refused_with_its_places(cli: Cli) -> None:
    one, two = (f"{name}-{uuid.uuid4().hex[:8]}" for name in "ab")
    files = [
        cli.file(
            f"name: {name}\ndeadline: 1h\nstart: ask\nsteps:\n"
            f"  ask: {{kind: child, definition: {other}, timeout: 1h, next: end}}\n  end: {{kind: succeed}}\n"
        )
        for name, other in ((one, two), (two, one))
    ]
    ran = cli("apply", *files)
    assert ran.code == 1
    for file in files:
        assert f"{file}:5:" in ran.err
    assert f"'{one}', '{two}' start one another in a circle" in ran.err
    assert "2 mistakes: nothing was published" in ran.err
