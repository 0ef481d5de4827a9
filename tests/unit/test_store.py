"""What a store makes of errors: not now, never, or not this row. Rows that are good must never become dead letters."""

import errno

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from clickhouse_connect.driver.exceptions import DataError as RowError

from holdfast.projections.store import DataError, FatalError, Store, TransientError


def refusal(code: int, text: str) -> DatabaseError:
    return DatabaseError(f"Code: {code}. DB::Exception: {text}", code=code)


def raised_for(error: Exception) -> BaseException:
    def connect() -> None:
        raise error

    with pytest.raises((TransientError, FatalError, DataError)) as caught:
        Store(connect).command("SELECT 1")
    return caught.value


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ECONNREFUSED, "Connection refused"), "clickhouse_away"),
        (OperationalError("Error HTTPConnectionPool(host='127.0.0.1')"), "clickhouse_away"),
        (TimeoutError(), "clickhouse_away"),
        (DatabaseError("<html>Bad gateway</html>"), "clickhouse_away"),
        (refusal(236, "Cancelled merging parts"), "clickhouse_away"),
        (refusal(394, "Query was cancelled"), "clickhouse_away"),
        (refusal(252, "Too many parts"), "clickhouse_unable"),
        (refusal(241, "Memory limit exceeded"), "clickhouse_unable"),
        (
            refusal(75, "Cannot write to file 7: /data/x.bin, errno: 5, strerror: Input/output error"),
            "clickhouse_unable",
        ),
        (refusal(243, "Cannot reserve 1.00 MiB, not enough space"), "disk_full"),
        (refusal(75, "Cannot write to file: /data/x, errno: 28, strerror: No space left on device"), "disk_full"),
        (refusal(1001, "std::filesystem: cannot create directory: No space left on device"), "disk_full"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
    ],
)
def test_not_now_has_a_stable_code(error: Exception, code: str) -> None:
    found = raised_for(error)
    assert isinstance(found, TransientError)
    assert found.code == code


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal(60, "Table holdfast.events does not exist"), FatalError),
        (refusal(516, "Authentication failed"), FatalError),
        (refusal(53, "Type mismatch"), DataError),
        (refusal(376, "Cannot parse UUID"), DataError),
        (RowError("Unable to create Python array"), DataError),
        (ValueError("badly formed hexadecimal UUID string"), DataError),
    ],
)
def test_never_and_not_this_row_are_told_apart(error: Exception, kind: type[Exception]) -> None:
    assert type(raised_for(error)) is kind
