"""`holdfast lint` and what it says: lines that editors can jump to, JSON, exit codes, and the page about the rules."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from holdfast.ops.cli import build_app
from holdfast.ops.cures import EXPLANATIONS
from holdfast.ops.lint_page import EVERY_RULE, FILE_NAME, MISTAKES, render
from holdfast.streams.core.lint.company_rules import COMPANY_RULES
from holdfast.streams.core.lint.form import FORM_RULES
from holdfast.streams.core.lint.table import RULES

ROOT = Path(__file__).parents[2]
HEAD = "name: test\ndeadline: 1h\nstart: a\nsteps:\n"
CHOICE = "{kind: choice, branches: [{when: input.n > 1, next: c}], default: d}"
WRONG = HEAD + f"  a: {{kind: wait, event: x, next: b}}\n  b: {CHOICE}\n"
DOUBTFUL = HEAD + "  a: {kind: sleep, for: 2h, next: b}\n  b: {kind: succeed}\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    texts = {"wrong": WRONG, "doubtful": DOUBTFUL, "right": DOUBTFUL.replace("2h", "2m").replace("test", "right")}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return {name: tmp_path / f"{name}.yaml" for name in texts}


def test_every_finding_is_a_line_with_its_place_severity_rule_sentence_and_cure(files: dict[str, Path]) -> None:
    result = run("lint", files["wrong"])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == (
        f"{files['wrong']}:5:3: error missing_timeout: steps.a.timeout: this `wait` step has no `timeout`, so it could "
        "wait for ever (add `timeout`, such as 30s, 12h or 7d, and `catch: {timeout: STEP}` for what then happens)"
    )
    assert [line.split(" ")[2] for line in lines] == ["missing_timeout:", "no_such_step:", "no_such_step:"]
    assert result.stderr == "3 errors, no warnings\n"


def test_warnings_alone_do_not_fail(files: dict[str, Path]) -> None:
    result = run("lint", files["doubtful"], files["right"])
    assert result.exit_code == 0
    assert "warning limit_beyond_deadline" in result.stdout
    assert result.stderr == "no errors, 1 warning\n"


def test_nothing_to_say_is_said(files: dict[str, Path]) -> None:
    result = run("lint", files["right"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no errors, no warnings\n")


def test_json_has_the_findings_of_all_files(files: dict[str, Path]) -> None:
    result = run("lint", files["right"], files["wrong"], files["doubtful"], "--json")
    rows = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {row["file"] for row in rows} == {str(files["wrong"]), str(files["doubtful"])}
    assert rows[0].keys() == {"file", "line", "column", "severity", "rule", "place", "message", "cure"}
    assert (rows[0]["line"], rows[0]["rule"], rows[0]["place"]) == (5, "missing_timeout", "steps.a.timeout")


def test_files_of_one_call_are_looked_at_together(files: dict[str, Path]) -> None:
    result = run("lint", files["wrong"], files["doubtful"])
    assert "error doubled_name" in result.stdout


def test_without_a_file_it_is_wrong_use() -> None:
    assert run("lint").exit_code == 2


def test_apply_prints_warnings_and_refuses_mistakes_with_their_rules(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no broker is known
    refused = run("apply", files["wrong"], "--dry-run", "--json")
    assert refused.exit_code == 1
    (row,) = json.loads(refused.stdout)
    assert [mistake["rule"] for mistake in row["mistakes"]] == ["missing_timeout", "no_such_step", "no_such_step"]
    accepted = run("apply", files["doubtful"], "--dry-run")
    assert accepted.exit_code == 0
    assert "doubtful.yaml:5:20: warning limit_beyond_deadline" in accepted.stderr


def test_the_page_about_the_rules_is_made_from_them() -> None:
    assert (ROOT / FILE_NAME).read_text(encoding="utf-8") == render(), "run `holdfast lint --rules > docs/lint.md`"
    assert run("lint", "--rules").stdout == render()


def test_the_page_has_every_rule() -> None:
    names = [rule.name for rules in (FORM_RULES, RULES, COMPANY_RULES) for rule in rules]
    assert sorted(rule.name for rule in EVERY_RULE) == sorted(names)


def test_a_rule_has_a_name_of_its_own_a_sentence_and_a_cure() -> None:
    assert {rule.name for rule in EVERY_RULE} & EXPLANATIONS.keys() == set()
    for rule in EVERY_RULE:
        assert rule.sentence[0].isupper() or rule.sentence[0] == "`"
        assert rule.sentence.endswith(".")
        assert rule.cure


def test_a_rule_can_be_explained() -> None:
    result = run("explain", "maybe_missing", "--json")
    assert json.loads(result.stdout)["kind"] == "lint warning"


def test_classic_mistakes_are_refused_by_rules_that_exist_and_refuse() -> None:
    errors = {rule.name for rule in EVERY_RULE if rule.severity.value == "error"}
    assert {name for mistake in MISTAKES for name in mistake.rules} <= errors
