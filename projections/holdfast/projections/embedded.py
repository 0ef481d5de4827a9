"""The embedded ClickHouse (chDB): its folder, the configuration it is opened with, and what SQL may not do in it.

One process owns a folder (a kernel lock, free again right after a kill); everybody else reads through the bridge. SQL
is code here: without the grants below any statement could read local files and reach the network.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from holdfast.projections.store import FatalError, Store

DATABASE = "holdfast"
QUERY_TIME_LIMIT_S = 60
QUERY_MEMORY_LIMIT_BYTES = 2 << 30
ENGINE_MEMORY_LIMIT_BYTES = 4 << 30
# The engine does not notice a write that fails for lack of room: a part whose files were cut off becomes visible all
# the same, and a merge that ends like that takes acknowledged rows with it. So it is kept away from the end of the
# disk; what is left there belongs to the journal anyway.
KEEP_FREE_BYTES = 256 << 20
RESULT_ROWS_LIMIT = 1_000_000
RESULT_BYTES_LIMIT = 256 << 20

# What a reader may at most ask for; a statement's own SETTINGS cannot pass these.
READ_LIMITS = {
    "max_execution_time": QUERY_TIME_LIMIT_S,
    "max_memory_usage": QUERY_MEMORY_LIMIT_BYTES,
    "max_result_rows": RESULT_ROWS_LIMIT,
    "max_result_bytes": RESULT_BYTES_LIMIT,
}

# What each reading connection begins with.
READER_SETTINGS = {**READ_LIMITS, "max_threads": 2}

_CONFIG = """<clickhouse>
  <users_config>{users}</users_config>
  <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <storage_configuration><disks><default>
    <keep_free_space_bytes>{keep_free}</keep_free_space_bytes>
  </default></disks></storage_configuration>
</clickhouse>
"""
_USERS = """<clickhouse>
  <profiles><default><async_insert>0</async_insert><constraints>{limits}</constraints></default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    <grants>
      <query>GRANT SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE, OPTIMIZE, SHOW ON {database}.*</query>
      <query>GRANT SELECT ON system.*</query>
    </grants>
  </default></users>
</clickhouse>
"""


@dataclass(frozen=True)
class EmbeddedFolder:
    """The folder of an embedded database. Its data, configuration and temporary files stand side by side.

    `lock` is the descriptor whose lock says that this process owns the folder; it ends with the process.
    """

    path: Path
    lock: int

    @property
    def data(self) -> Path:
        """ClickHouse's own files."""
        return self.path / "store"

    @property
    def config(self) -> Path:
        """The configuration file; without it a stray config.xml of the working directory would be read."""
        return self.path / "config.xml"

    @property
    def temporary(self) -> Path:
        """Each insert passes through a file here; a killed process leaves it behind."""
        return self.path / "tmp"


def prepare(path: Path) -> EmbeddedFolder:
    """Take the folder, write the configuration, and empty the temporary files of whoever was killed.

    This process's temporary files go there from now on: inserts hold event data, which must not lie about in /tmp.
    Raises FatalError if another process has the folder.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = EmbeddedFolder(path.absolute(), _locked(path / "owner.lock"))
    shutil.rmtree(folder.temporary, ignore_errors=True)
    folder.temporary.mkdir(mode=0o700)
    tempfile.tempdir = str(folder.temporary)
    users = folder.path / "users.xml"
    limits = "".join(f"<{name}><min>1</min><max>{value}</max></{name}>" for name, value in READ_LIMITS.items())
    users.write_text(_USERS.format(database=DATABASE, limits=limits), encoding="utf-8")
    config = _CONFIG.format(users=escape(str(users)), memory=ENGINE_MEMORY_LIMIT_BYTES, keep_free=KEEP_FREE_BYTES)
    folder.config.write_text(config, encoding="utf-8")
    return folder


def _locked(path: Path) -> int:
    # ClickHouse has a lock of its own, but the temporary files of its owner must not be emptied before it says no.
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise FatalError(f"another process owns the database in {path.parent}") from None
    return lock


def open_embedded(folder: EmbeddedFolder) -> Store:
    """A store for writing; it takes nothing while less than KEEP_FREE_BYTES are free.

    Raises an error of clickhouse-connect if another process owns the folder.
    """

    def connect() -> Any:
        import clickhouse_connect

        # Tables are made and opened without regard to the limit.
        if shutil.disk_usage(folder.path).free < KEEP_FREE_BYTES:
            raise OSError(errno.ENOSPC, f"less than {KEEP_FREE_BYTES >> 20} MiB free", str(folder.path))
        return clickhouse_connect.get_client(
            interface="chdb", path=str(folder.data), chdb_options={"config-file": str(folder.config)}
        )

    return Store(connect)


def open_reader(folder: EmbeddedFolder) -> Any:
    """A raw chDB connection that only reads, within READ_LIMITS. The engine must be open in this process."""
    import chdb

    connection: Any = chdb.connect(f"{folder.data}?config-file={folder.config}")  # type: ignore[no-untyped-call]
    for name, value in {**READER_SETTINGS, "readonly": 2}.items():
        connection.query(f"SET {name} = {value}", "TSV")
    return connection
