"""Asking the projections: a small HTTP client for the bridge or any ClickHouse, and the questions that are shipped.

Light to import (the standard library and orjson only), since every command of the CLI that reads loads it.
"""

import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import orjson

TIMEOUT_S = 90
# The code with which the bridge says that the ClickHouse server behind it does not answer.
NO_ANSWER = 210
_PARAMETER = re.compile(r"^-- parameter (\w+): ([\w()', ]+?)(?: = (.*))?$", re.MULTILINE)
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


class QueryError(Exception):
    """ClickHouse refused a query or could not answer it. `code` is its code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unreachable(Exception):
    """Nobody answers at that address."""


@dataclass(frozen=True, kw_only=True)
class NamedQuery:
    """A question that is shipped: `parameters` maps each name to its default, None if it must be given."""

    name: str
    question: str
    parameters: Mapping[str, str | None]
    sql: str


def named_query(name: str, text: str) -> NamedQuery:
    """The query in a file's text: its first comment line is the question, then `-- parameter x: Type = default`."""
    return NamedQuery(
        name=name,
        question=text.partition("\n")[0].removeprefix("-- "),
        parameters={found[1]: found[3] and found[3].strip("'") for found in _PARAMETER.finditer(text)},
        sql=text,
    )


@cache
def named_queries() -> Mapping[str, NamedQuery]:
    """All shipped questions by name."""
    folder = files("holdfast.projections") / "queries"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    stems = {name.removesuffix(".sql"): (folder / name).read_text(encoding="utf-8") for name in names}
    return {stem: named_query(stem, text) for stem, text in stems.items()}


@dataclass(frozen=True, kw_only=True)
class ClickHouse:
    """A ClickHouse's HTTP interface at `url`, entered with `token`."""

    url: str
    token: str
    timeout_s: float = TIMEOUT_S

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a statement. Parameters stand as {name:Type} in it. Raises QueryError, Unreachable."""
        body = self.raw(sql, parameters, default_format="JSON")
        rows: list[dict[str, Any]] = orjson.loads(body)["data"] if body else []
        return rows

    def named(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a shipped question. Raises also KeyError (no such question) and TypeError (its parameters)."""
        query = named_queries()[name]
        wrong = parameters.keys() - query.parameters.keys()
        missing = {key for key, default in query.parameters.items() if default is None} - parameters.keys()
        if wrong or missing:
            raise TypeError(f"{name}: missing parameters {sorted(missing)}, unknown parameters {sorted(wrong)}")
        return self.query(query.sql, {**query.parameters, **parameters})

    def raw(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, default_format: str = "TabSeparated"
    ) -> bytes:
        """The answer's bytes in `default_format`, or in the format that the statement names."""
        given = {f"param_{name}": _text(value) for name, value in (parameters or {}).items()}
        return self._ask("/?" + urlencode({"default_format": default_format, "database": "holdfast", **given}), sql)

    def rebuild(self) -> int:
        """Make the sink empty its tables and read the journal again; returns the number of partitions."""
        return int(orjson.loads(self._ask("/rebuild", ""))["partitions"])

    def trouble(self) -> dict[str, Any] | None:
        """Why the sink cannot store anything now (code, message, since_ms, attempts); None if nothing is wrong."""
        found: dict[str, Any] | None = orjson.loads(self._ask("/status"))["trouble"]
        return found

    def _ask(self, path: str, body: str | None = None) -> bytes:
        """The answer to a POST of `body`, or to a GET without one."""
        request = urllib.request.Request(  # noqa: S310
            self.url.rstrip("/") + path,
            data=None if body is None else body.encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "text/plain"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:  # noqa: S310
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as exc:
            with exc:
                code = int(exc.headers.get("X-ClickHouse-Exception-Code") or 0)
                raise QueryError(code, exc.read().decode(errors="replace").strip()) from exc
        except OSError as exc:
            raise Unreachable(f"nobody answers at {self.url}: {exc}") from exc


def _text(value: Any) -> str:
    """A parameter in the escaped form that ClickHouse's HTTP interface reads."""
    return str(value).translate(_ESCAPES)
