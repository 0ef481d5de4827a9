"""One search for traces of a call: arguments checked before, what is found checked after, errors classified."""

import asyncio
import logging
from typing import Any

from holdfast.schemas.record import Message
from holdfast.schemas.tasks import LookUpEffect
from holdfast.streams.clock import Clock
from holdfast.streams.executor import outcomes
from holdfast.streams.executor.outcomes import Failure, Looked
from holdfast.streams.executor.threads import Threads
from holdfast.streams.executor.tool_results import answer_of, failure_of
from holdfast.tools import NotFound, Tool, ToolCall, ToolError, ToolRegistry
from holdfast.tools.errors import TOOL_ERROR, shortened

_log = logging.getLogger(__name__)


class ToolSearches:
    """Searches with the lookups of tools. `threads` runs the sync ones."""

    def __init__(self, registry: ToolRegistry, threads: Threads, clock: Clock) -> None:
        self._registry = registry
        self._threads = threads
        self._clock = clock

    async def search(self, message: Message[LookUpEffect]) -> Looked:
        """What came of a search, an error included: it never raises, and takes no longer than the task allows."""
        task = message.body
        tool = self._registry.get(task.tool)
        if tool is None:
            return _failed(outcomes.UNKNOWN_TOOL, f"this executor has no tool {task.tool!r}")
        if tool.lookup is None:
            return _failed(outcomes.NO_LOOKUP, f"{task.tool} cannot search for traces of its calls")
        call = ToolCall(
            effect_key=task.effect_key,
            attempt=task.attempt,
            deadline_at_ms=self._clock.now_ms() + task.timeout_ms,
            tenant=message.meta.tenant,
            workflow_id=message.meta.workflow_id,
        )
        limit = asyncio.timeout(task.timeout_ms / 1000)
        try:
            arguments = tool.lookup.bind(tool.bind(task.arguments, call), call)
            async with limit:
                returned = await self._threads.call(tool.lookup.function, arguments)
        except ToolError as exc:
            return _failed(exc.code, exc.message)
        except Exception as exc:
            if limit.expired():
                return _failed(outcomes.TIMEOUT, f"the search took longer than {task.timeout_ms} ms")
            _log.warning("the lookup of %s failed", task.tool, exc_info=exc)
            return _failed(TOOL_ERROR, f"{type(exc).__name__}: {exc}")
        finally:
            call.give_up()
        return _looked(tool, returned)


def _looked(tool: Tool[Any, Any], returned: object) -> Looked:
    try:
        found = tool.trace_json(returned)
    except ToolError as exc:
        failure = failure_of(exc)
    else:
        evidence = shortened(found.evidence)
        if isinstance(found, NotFound):
            return Looked(evidence=evidence)
        answer = answer_of(tool.manifest.name, found.result)
        if not isinstance(answer, Failure):
            return Looked(found=True, result=answer.result, evidence=evidence)
        failure = answer
    return _failed(failure.error_class, failure.error_message)


def _failed(error_class: str, message: str) -> Looked:
    return Looked(error_class=error_class, error_message=shortened(message))
