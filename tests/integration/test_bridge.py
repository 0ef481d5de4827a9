"""The bridge: ClickHouse's own clients read through it; nobody writes, escapes or drowns it."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from holdfast.projections.client import ClickHouse, QueryError, Unreachable
from support.sinks import TOKEN, eventually, free_port

SCRIPT = Path(__file__).parents[1] / "support" / "run_bridge.py"


@dataclass
class Running:
    client: ClickHouse
    port: int
    folder: Path


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("bridge"), free_port()
    (folder / "tmp").mkdir()
    (folder / "tmp" / "left-behind.native").write_bytes(b"event data of a killed process")
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(folder), str(port), TOKEN])
    client = ClickHouse(url=f"http://127.0.0.1:{port}", token=TOKEN)
    try:
        eventually(lambda: client.query("SELECT 1 AS one"))
        yield Running(client, port, folder)
    finally:
        process.terminate()
        process.wait(10)


def refused(bridge: Running, sql: str, **settings: str) -> int:
    """The code with which a statement is refused."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{bridge.port}/?{urlencode(settings)}",
        data=sql.encode(),
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    with caught.value as answer:
        text = answer.read().decode()
    assert text.startswith("Code: ")
    return int(answer.headers["X-ClickHouse-Exception-Code"])


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO events (tenant) VALUES ('x')", 164),
        ("TRUNCATE TABLE events", 164),
        ("DROP TABLE events", 164),
        ("ALTER TABLE events DELETE WHERE 1", 164),
        ("CREATE TABLE t (x UInt8) ENGINE = Memory", 164),
        ("OPTIMIZE TABLE events FINAL", 164),
        ("SYSTEM STOP MERGES", 164),
        ("KILL QUERY WHERE 1", 164),
        ("SET readonly = 0", 164),
        ("USE system", 164),
        ("EXECUTE AS admin SELECT 1", 164),
        ("SELECT 1 INTO OUTFILE '/tmp/stolen'", 164),
        ("BACKUP TABLE events TO File('/tmp/stolen')", 164),
        ("SELECT 1; SELECT 2", 62),
        ("SELECT 1; DROP TABLE events", 62),
        ("SELECT * FROM file('/etc/hostname', 'LineAsString')", 497),
        ("SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", 497),
        ("SELECT * FROM remote('127.0.0.1:1', 'system', 'one')", 497),
        ("SELECT * FROM s3('http://127.0.0.1:1/bucket/k.csv', 'CSV', 'x String')", 497),
        ("SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')", 497),
        ("SELECT * FROM executable('cat', 'TSV', 'x String')", 1),
        ("not a statement", 47),
        ("", 62),
        ("SELECT * FROM nowhere", 60),
        ("SELECT 1 SETTINGS readonly = 0", 164),
        ("SELECT 1 SETTINGS max_execution_time = 0", 452),
        ("SELECT 1 SETTINGS max_memory_usage = 0", 452),
        ("SELECT 1 SETTINGS max_result_rows = 100000000", 452),
        ("SELECT * FROM numbers(2000000)", 396),
        ("SELECT groupArray(number) FROM numbers(1000000000)", 241),
    ],
)
def test_what_does_not_only_read_is_refused(bridge: Running, sql: str, code: int) -> None:
    assert refused(bridge, sql) == code
    assert bridge.client.query("SELECT count() AS n FROM events FINAL") == [{"n": 3 * 36}]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"max_execution_time": "0"}, 452),
        ({"max_execution_time": "100000"}, 452),
        ({"no_such_setting": "1"}, 115),
        ({"max_threads' = 1, readonly": "0"}, 115),
        ({"database": "system"}, 81),
    ],
)
def test_settings_cannot_pass_the_limits(bridge: Running, settings: dict[str, str], code: int) -> None:
    assert refused(bridge, "SELECT 1", **settings) == code


def test_a_settings_value_is_quoted_and_forgotten_after_the_query(bridge: Running) -> None:
    sql = "SELECT getSetting('max_threads') AS threads"
    request = f"http://127.0.0.1:{bridge.port}/?{urlencode({'max_threads': '1', 'query': sql})}"
    for _ in range(5):
        with urllib.request.urlopen(
            urllib.request.Request(request, headers={"X-ClickHouse-Key": TOKEN}), timeout=10
        ) as answer:
            assert answer.read() == b"1\n"
    assert refused(bridge, "SELECT 1", log_comment="x' , readonly = '0", max_threads="'; DROP TABLE events; --") != 0
    assert bridge.client.query(sql)[0]["threads"] != 1


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1]])
def test_nobody_reads_without_the_token(bridge: Running, token: str) -> None:
    stranger = ClickHouse(url=bridge.client.url, token=token)
    with pytest.raises(QueryError) as caught:
        stranger.query("SELECT 1")
    assert caught.value.code == 516
    with pytest.raises(QueryError):
        stranger.rebuild()


def test_ping_needs_no_token(bridge: Running) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{bridge.port}/ping", timeout=10) as answer:
        assert answer.read() == b"Ok.\n"


def test_parameters_arrive_as_they_are(bridge: Running) -> None:
    odd = "a'b\\c\td\ne\0f\r {x:String} 📦 -- ;"
    assert bridge.client.query("SELECT {odd:String} AS odd, {n:UInt64} AS n", {"odd": odd, "n": 2**63}) == [
        {"odd": odd, "n": 2**63}
    ]


def test_a_query_that_is_too_long_is_refused(bridge: Running) -> None:
    assert refused(bridge, "SELECT '" + "x" * (1 << 20) + "'") == 62


def test_queries_run_side_by_side(bridge: Running) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: bridge.client.query("SELECT sleep(1)"), range(4)))
    assert time.monotonic() - began < 3


def test_too_many_waiting_queries_are_turned_away(bridge: Running) -> None:
    def outcome(_: int) -> int:
        try:
            bridge.client.query("SELECT sleep(0.2)")
        except QueryError as exc:
            return exc.code
        return 0

    with ThreadPoolExecutor(48) as pool:
        outcomes = list(pool.map(outcome, range(48)))
    assert set(outcomes) == {0, 202}


def test_the_temporary_files_of_a_killed_process_are_gone(bridge: Running) -> None:
    assert list((bridge.folder / "tmp").iterdir()) == []


def test_a_clients_error_tells_an_absent_project_from_a_refused_query(bridge: Running) -> None:
    with pytest.raises(Unreachable, match="nobody answers"):
        ClickHouse(url=f"http://127.0.0.1:{free_port()}", token=TOKEN).query("SELECT 1")
    with pytest.raises(TypeError, match="missing parameters"):
        bridge.client.named("timeline")
    with pytest.raises(TypeError, match="unknown parameters"):
        bridge.client.named("health", tenant="x")


def test_a_rebuild_that_cannot_be_is_said(bridge: Running) -> None:
    with pytest.raises(QueryError, match="another sink shares the journal"):
        bridge.client.rebuild()


def _official(bridge: Running, **options: Any) -> Any:
    import clickhouse_connect

    return clickhouse_connect.get_client(
        host="127.0.0.1", port=bridge.port, username="default", password=TOKEN, database="holdfast", **options
    )


def test_clickhouses_own_client_reads_through_the_bridge(bridge: Running) -> None:
    client = _official(bridge)
    result = client.query(
        "SELECT sequence, toString(event_id), recorded_at, hash, payload FROM events FINAL"
        " WHERE workflow_id = {wf:String} ORDER BY sequence",
        parameters={"wf": "wf-1"},
    )
    assert [row[0] for row in result.result_rows] == list(range(1, 37))
    assert len(result.result_rows[0][3]) == 32
    frame = client.query_df("SELECT type, count() AS n FROM events GROUP BY type ORDER BY n DESC")
    assert list(frame.columns) == ["type", "n"]
    assert client.query_arrow("SELECT count() AS n FROM v_workflows").to_pylist() == [{"n": 3}]
    assert client.command("SELECT 1 + 1") == 2
    client.close()


def test_clickhouses_own_client_gets_errors_with_their_codes(bridge: Running) -> None:
    from clickhouse_connect.driver.exceptions import DatabaseError

    client = _official(bridge)
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT * FROM nowhere")
    assert caught.value.code == 60
    with pytest.raises(DatabaseError) as caught:
        client.insert("events", [["x"]], column_names=["tenant"])
    assert caught.value.code == 164
    client.close()
