"""What each step kind does, as one table. A new kind is a new file here, a model in `definition.py`, and a row."""

from collections.abc import Mapping

from holdfast.streams.core.steps import (
    agent,
    approval,
    assign,
    child,
    choice,
    compensation,
    endings,
    map,
    parallel,
    schedule,
    sleep,
    tool,
    wait,
)
from holdfast.streams.core.steps.kind import StepKind

KINDS: Mapping[str, StepKind] = {
    "agent": agent.KIND,
    "tool": tool.KIND,
    "approval": approval.KIND,
    "wait": wait.KIND,
    "sleep": sleep.KIND,
    "choice": choice.KIND,
    "parallel": parallel.KIND,
    "map": map.KIND,
    "child": child.KIND,
    "schedule": schedule.KIND,
    "assign": assign.KIND,
    "compensation": compensation.KIND,
    "succeed": endings.SUCCEED,
    "fail": endings.FAIL,
}
