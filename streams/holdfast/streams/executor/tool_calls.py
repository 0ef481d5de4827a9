"""Tool calls: arguments checked before, results after, errors classified."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from holdfast.schemas import topics
from holdfast.schemas.record import Message
from holdfast.schemas.tasks import RunToolCall
from holdfast.streams.executor import outcomes
from holdfast.streams.executor.attempt import Prepared, Stop, Task
from holdfast.streams.executor.item_calls import BY_NAME, ItemCalls
from holdfast.streams.executor.outcomes import Failure, Outcome, ToolAnswer
from holdfast.streams.executor.threads import Threads
from holdfast.streams.executor.tool_results import answer_of, failure_of
from holdfast.tools import Tool, ToolCall, ToolError, ToolRegistry
from holdfast.tools.errors import TOOL_ERROR, shortened

_log = logging.getLogger(__name__)

GRANTED_EFFECTS = frozenset({"lookup", "once"})
_HARMLESS = "read"
_ERROR_CLASS_OF = {
    Stop.TIMEOUT: outcomes.TIMEOUT,
    Stop.STOPPING: outcomes.EXECUTOR_STOPPED,
    Stop.WITHDRAWN: outcomes.WITHDRAWN,
}


class ToolCalls:
    """The tool class of executors. `threads` runs the sync functions; `items` is for the engine's own calls."""

    task_class = "tool"
    topic = topics.TASKS_TOOL
    record = RunToolCall
    group = "executor-tool"

    def __init__(self, registry: ToolRegistry, threads: Threads, items: ItemCalls) -> None:
        self._registry = registry
        self._items = items
        self._threads = threads

    @property
    def abandoned(self) -> int:
        """Threads that outlived their call."""
        return self._threads.abandoned

    def harmless(self, task: Task) -> bool:
        """True for calls that only read."""
        assert isinstance(task, RunToolCall)
        return task.effect == _HARMLESS

    def when_freed(self, tell: Callable[[], None]) -> None:
        """Have `tell` called whenever an abandoned thread has come to its end."""
        self._threads.on_freed = tell

    def needs_grant(self, task: Task) -> bool:
        """True for calls that must not be made twice."""
        return isinstance(task, RunToolCall) and task.effect in GRANTED_EFFECTS

    def prepare(self, message: Message[Task]) -> Prepared | Failure:
        """The call with its arguments bound, or why it cannot be made."""
        task = message.body
        assert isinstance(task, RunToolCall)
        if task.tool in BY_NAME:
            return Prepared(act=partial(self._act_for_engine, task), give_up=_nothing, harmless=True)
        tool = self._registry.get(task.tool)
        if tool is None:
            # Another executor may have it, for instance during a deployment.
            return Failure(
                error_class=outcomes.UNKNOWN_TOOL,
                error_message=f"this executor has no tool {task.tool!r}",
                retryable=True,
            )
        if task.effect != tool.manifest.effect:
            # The engine claims, grants and repeats by the effect it knows: acting under another one is unsafe.
            return Failure(
                error_class=outcomes.EFFECT_CHANGED,
                error_message=f"the effect of {task.tool} is {tool.manifest.effect}, but the task says {task.effect}",
                retryable=False,
            )
        call = ToolCall(
            effect_key=task.effect_key,
            attempt=task.attempt,
            deadline_at_ms=task.deadline_at_ms,
            tenant=message.meta.tenant,
            workflow_id=message.meta.workflow_id,
        )
        try:
            arguments = tool.bind(task.arguments, call)
        except ToolError as exc:
            return failure_of(exc)

        async def act() -> Outcome:
            return await self._act(tool, arguments)

        return Prepared(act=act, give_up=call.give_up, harmless=self.harmless(task))

    def cut_short(self, task: Task, why: Stop) -> Failure:
        """A tool that was cut short may have acted, unless it only reads."""
        assert isinstance(task, RunToolCall)
        return Failure(
            error_class=_ERROR_CLASS_OF[why],
            error_message=f"{task.tool} was stopped: {why}",
            retryable=True,
            outcome_unknown=not self.harmless(task),
        )

    async def _act_for_engine(self, task: RunToolCall) -> Outcome:
        try:
            return ToolAnswer(
                result=await self._threads.run(self._items.act, {"name": task.tool, "arguments": task.arguments})
            )
        except ToolError as exc:
            return failure_of(exc)
        except Exception as exc:
            _log.exception("%s failed", task.tool)
            return Failure(
                error_class=outcomes.INTERNAL_ERROR,
                error_message=shortened(f"{task.tool}: {type(exc).__name__}: {exc}"),
                retryable=True,
            )

    async def _act(self, tool: Tool[Any, Any], arguments: Mapping[str, Any]) -> Outcome:
        name = tool.manifest.name
        try:
            returned = await self._threads.call(tool.function, arguments)
        except ToolError as exc:
            return failure_of(exc)
        except Exception as exc:
            _log.warning("tool %s failed", name, exc_info=exc)
            # Nobody knows how far it came: only a ToolError says that nothing happened.
            return Failure(
                error_class=TOOL_ERROR,
                error_message=shortened(f"{type(exc).__name__}: {exc}"),
                retryable=True,
                outcome_unknown=tool.manifest.effect != _HARMLESS,
            )
        try:
            return answer_of(name, tool.result_json(returned))
        except ToolError as exc:
            return failure_of(exc)


def _nothing() -> None:
    pass
