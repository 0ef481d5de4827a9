"""Which workflows a command is about: those of a condition over the tables."""

import re
from dataclasses import dataclass

from holdfast.ops.errors import CommandError
from holdfast.projections.client import ClickHouse

_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`", re.DOTALL)
_NOT_IN_A_CONDITION = ("'", '"', "`", ";", "--", "#", "/*", "*/", "$")
_SQL = """
SELECT workflow_id FROM (SELECT * FROM holdfast.v_workflows WHERE tenant = {{tenant:String}}) AS workflows
WHERE ({condition})
  AND ({{ended:UInt8}} OR status NOT IN ('completed', 'failed', 'cancelled'))
ORDER BY updated_at DESC, workflow_id LIMIT {{limit:UInt32}}"""


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The ids that a condition holds for, the latest change first; `more` says that there are more than asked for."""

    ids: tuple[str, ...]
    more: bool


def select(clickhouse: ClickHouse, tenant: str, where: str, *, limit: int, ended: bool) -> Selected:
    """The workflows of a tenant for which a condition over the columns of `v_workflows` holds.

    With `ended` those that have ended as well. Raises CommandError if it is no condition, and what the client raises.
    """
    given = {"tenant": tenant, "limit": limit + 1, "ended": int(ended)}
    rows = clickhouse.query(_SQL.format(condition=condition_of(where)), given)
    ids = tuple(row["workflow_id"] for row in rows)
    return Selected(ids=ids[:limit], more=len(ids) > limit)


def condition_of(text: str) -> str:
    """The text, if it stays one condition between two parentheses. Raises CommandError.

    Nothing can be changed by it anyway; this is so that it cannot leave the tenant by mistake.
    """
    bare = _QUOTED.sub("x", text)
    depth, lowest = 0, 0
    for character in bare:
        depth += (character == "(") - (character == ")")
        lowest = min(lowest, depth)
    if not text.strip() or depth or lowest or any(sign in bare for sign in _NOT_IN_A_CONDITION):
        raise CommandError(
            f"this is not one condition: {text!r}",
            cure="write it as after WHERE, without comments: \"definition_name = 'support' AND status = 'waiting'\"; "
            '`holdfast sql "DESCRIBE v_workflows"` lists the columns',
        )
    return text
