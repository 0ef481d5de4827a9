"""Model calls over the chat-completions API of an OpenAI-compatible server.

One HTTP request per attempt: retries, fallback and budgets belong to the fold, so that every paid attempt is an event.
The raw answer is kept; what it says is judged by the fold.
"""

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, cast

import orjson

from holdfast.schemas import topics
from holdfast.schemas.record import Json, Message
from holdfast.schemas.tasks import RunModelCall
from holdfast.streams.executor import outcomes
from holdfast.streams.executor.attempt import Prepared, Stop, Task
from holdfast.streams.executor.config import DEFAULT_MODEL, ModelEndpoint
from holdfast.streams.executor.limits import KEPT_BODY_LIMIT, MODEL_RESPONSE_LIMIT_BYTES
from holdfast.streams.executor.model_answers import read_answer
from holdfast.streams.executor.outcomes import Failure, Outcome
from holdfast.tools.errors import shortened

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_log = logging.getLogger(__name__)

# What the executor itself decides; a streamed answer could end early without anybody noticing.
RESERVED_PARAMETERS = frozenset({"model", "messages", "stream", "stream_options"})
_ERROR_CLASS_OF = {
    Stop.TIMEOUT: outcomes.TIMEOUT,
    Stop.STOPPING: outcomes.EXECUTOR_STOPPED,
    Stop.WITHDRAWN: outcomes.WITHDRAWN,
}
_NO_KEY = "no-key"


class ModelCalls:
    """The model class of executors, for one endpoint; an async context manager."""

    task_class = "model"
    topic = topics.TASKS_MODEL
    record = RunModelCall
    group = "executor-model"
    abandoned = 0

    def __init__(self, endpoint: ModelEndpoint) -> None:
        self._endpoint = endpoint
        self._client: AsyncOpenAI | None = None

    async def __aenter__(self) -> "ModelCalls":
        from openai import AsyncOpenAI  # 0.7 s and 66 MB: only model executors pay for it

        self._client = AsyncOpenAI(
            base_url=self._endpoint.base_url, api_key=self._endpoint.api_key or _NO_KEY, max_retries=0
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    def harmless(self, task: Task) -> bool:
        """True: a model call has no effect on the world."""
        return True

    def when_freed(self, tell: Callable[[], None]) -> None:
        """Never: no call of a model outlives itself."""

    def needs_grant(self, task: Task) -> bool:
        """False: a model call that is made twice is paid twice, and nothing worse."""
        return False

    def prepare(self, message: Message[Task]) -> Prepared | Failure:
        """The call, or why it cannot be made."""
        task = message.body
        assert isinstance(task, RunModelCall)
        parameters = task.parameters if task.parameters is not None else {}
        if not isinstance(task.messages, list) or not isinstance(parameters, dict):
            return _invalid("messages must be a list and parameters an object")
        reserved = sorted(RESERVED_PARAMETERS.intersection(parameters))
        if reserved:
            return _invalid(f"the parameters must not set {', '.join(reserved)}")
        model = self._endpoint.model if task.model in ("", DEFAULT_MODEL) else task.model
        if not model:
            return _invalid("no model is configured for the name 'default'")
        body = {**parameters, "model": model, "messages": task.messages}

        async def act() -> Outcome:
            try:
                return await self._ask(task, body)
            except Exception as exc:
                _log.error("model call %s#%d failed in the executor", task.effect_key, task.attempt, exc_info=exc)
                message = shortened(f"{type(exc).__name__}: {exc}")
                return Failure(error_class=outcomes.INTERNAL_ERROR, error_message=message, retryable=True)

        return Prepared(act=act, give_up=lambda: None, harmless=True)

    def cut_short(self, task: Task, why: Stop) -> Failure:
        """A model call that was cut short may have been paid, but it changed nothing."""
        return Failure(
            error_class=_ERROR_CLASS_OF[why], error_message=f"the model call was stopped: {why}", retryable=True
        )

    async def _ask(self, task: RunModelCall, body: dict[str, Json]) -> Outcome:
        import openai  # loaded by now

        from holdfast.streams.executor.model_errors import classify

        assert self._client is not None
        try:
            # Everything goes into the body as it is: the client would refuse parameters that it does not know.
            raw = await self._client.chat.completions.with_raw_response.create(
                model=cast("str", body["model"]),
                messages=[],
                extra_body=body,
                extra_headers={"Idempotency-Key": f"{task.effect_key}#{task.attempt}"},
                timeout=task.timeout_ms / 1000,
            )
        except openai.APIError as exc:
            return self._redacted(classify(exc, now_s=time.time()))
        if len(raw.content) > MODEL_RESPONSE_LIMIT_BYTES:
            return Failure(
                error_class=outcomes.RESULT_TOO_LARGE,
                error_message=f"the model answered {len(raw.content)} bytes, more than {MODEL_RESPONSE_LIMIT_BYTES}",
                retryable=False,
            )
        try:
            response: Json = orjson.loads(raw.content)
        except ValueError:
            kept = shortened(raw.content.decode(errors="replace"), KEPT_BODY_LIMIT)
            return Failure(
                error_class=outcomes.INVALID_OUTPUT,
                error_message=f"the answer is not JSON: {kept}",
                retryable=True,
                http_status=raw.status_code,
            )
        return read_answer(response, raw.headers, self._endpoint, cast("str", body["model"]), raw.status_code)

    def _redacted(self, failure: Failure) -> Failure:
        """Servers like to quote the key they refuse."""
        key = self._endpoint.api_key
        if not key or key not in failure.error_message:
            return failure
        message = failure.error_message.replace(key, "***")
        return Failure(**{**{n: getattr(failure, n) for n in failure.__dataclass_fields__}, "error_message": message})


def _invalid(message: str) -> Failure:
    return Failure(error_class=outcomes.INVALID_REQUEST, error_message=message, retryable=False)
