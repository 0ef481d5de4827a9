"""Model executors' calls: the answers are drawn from the seed; only the HTTP client is left out."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.ops.simulate.faults import Faults
from holdfast.schemas import jsontext, topics
from holdfast.schemas.record import Json, Message
from holdfast.schemas.tasks import RunModelCall
from holdfast.streams.executor import outcomes
from holdfast.streams.executor.attempt import Prepared, Stop, Task
from holdfast.streams.executor.config import ModelEndpoint
from holdfast.streams.executor.model_answers import read_answer
from holdfast.streams.executor.model_calls import ModelCalls
from holdfast.streams.executor.outcomes import Failure, Outcome

ANSWER_S = (0.05, 1.5)
SLOW_S = (5.0, 60.0)
ENDPOINT = ModelEndpoint(base_url="http://simulated/v1")
SHARE_OF_TOOL_CALLS = 0.4


@dataclass
class ModelServer:
    """Answers and counts. `asked` has the effect key and the attempt of each call that was paid."""

    faults: Faults
    asked: list[tuple[str, int]] = field(default_factory=list)
    watch: Callable[[str, int], None] = lambda _key, _attempt: None

    async def answer(self, task: RunModelCall) -> Outcome:
        """What comes of one call."""
        faults = self.faults
        rng = random.Random(f"{faults.plan.seed}/{task.effect_key}/{task.attempt}")
        await asyncio.sleep(rng.uniform(*ANSWER_S))
        if faults.happens("model takes too long"):
            await asyncio.sleep(rng.uniform(*SLOW_S))
        if faults.happens("model is rate limited"):
            return Failure(
                error_class=outcomes.RATE_LIMITED,
                error_message="too many requests",
                retryable=True,
                http_status=429,
                retry_after_ms=rng.randint(0, 5_000),
            )
        if faults.happens("model fails"):
            retryable = rng.random() < 0.7
            error_class = outcomes.UNAVAILABLE if retryable else outcomes.INVALID_REQUEST
            return Failure(error_class=error_class, error_message="no", retryable=retryable, http_status=500)
        self.asked.append((task.effect_key, task.attempt))
        self.watch(task.effect_key, task.attempt)
        if faults.happens("model answers nonsense"):
            odd: tuple[Json, ...] = ({"choices": []}, _said("nonsense"), _said('{"n": "x"}'), None)
            return read_answer(rng.choice(odd), {}, ENDPOINT, task.model, 200)
        if faults.happens("model asks for a wrong tool"):
            return read_answer(_calls([("no_such_tool", {})]), {}, ENDPOINT, task.model, 200)
        parameters = task.parameters if isinstance(task.parameters, dict) else {}
        tools = parameters.get("tools")
        if isinstance(tools, list) and tools and rng.random() < SHARE_OF_TOOL_CALLS:
            names = [one["function"]["name"] for one in tools]  # type: ignore[index,call-overload]
            wanted: list[tuple[str, dict[str, Json]]] = [
                (str(rng.choice(names)), {"n": rng.randint(0, 9)}) for _ in range(rng.randint(1, 2))
            ]
            return read_answer(_calls(wanted), {}, ENDPOINT, task.model, 200)
        return read_answer(_said(jsontext.dumps({"n": rng.randint(0, 9)})), {}, ENDPOINT, task.model, 200)


class SimulatedModelCalls:
    """The model class of executors."""

    task_class = ModelCalls.task_class
    topic = topics.TASKS_MODEL
    record = RunModelCall
    group = "executor-model"
    abandoned = 0

    def __init__(self, server: ModelServer) -> None:
        self._server = server

    def when_freed(self, tell: Callable[[], None]) -> None:
        """Nothing is ever abandoned."""

    def harmless(self, task: Task) -> bool:
        """As the real one."""
        return True

    def needs_grant(self, task: Task) -> bool:
        """As the real one."""
        return False

    def prepare(self, message: Message[Task]) -> Prepared | Failure:
        """The call."""
        task = message.body
        assert isinstance(task, RunModelCall)

        async def act() -> Outcome:
            return await self._server.answer(task)

        return Prepared(act=act, give_up=lambda: None, harmless=True)

    def cut_short(self, task: Task, why: Stop) -> Failure:
        """As the real one."""
        classes = {Stop.TIMEOUT: outcomes.TIMEOUT, Stop.STOPPING: outcomes.EXECUTOR_STOPPED}
        return Failure(
            error_class=classes.get(why, outcomes.WITHDRAWN), error_message=f"stopped: {why}", retryable=True
        )


def _said(content: str) -> Json:
    return {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]}


def _calls(wanted: list[tuple[str, dict[str, Json]]]) -> Json:
    calls: list[Json] = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": jsontext.dumps(arguments)}}
        for i, (name, arguments) in enumerate(wanted)
    ]
    message: dict[str, Json] = {"role": "assistant", "content": None, "tool_calls": calls}
    return {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
