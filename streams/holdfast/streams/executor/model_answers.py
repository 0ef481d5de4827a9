"""What a chat completion says: checked for its shape only, because it is paid for whatever it says."""

from collections.abc import Mapping

import orjson

from holdfast.schemas.record import Json
from holdfast.streams.executor import outcomes
from holdfast.streams.executor.config import ModelEndpoint, ModelPrice
from holdfast.streams.executor.limits import KEPT_BODY_LIMIT
from holdfast.streams.executor.outcomes import Failure, ModelAnswer
from holdfast.tools.errors import shortened

PROVIDER_HEADER = "x-holdfast-provider"
_FREE = ModelPrice(input_microusd=0, output_microusd=0)


def read_answer(
    response: Json, headers: Mapping[str, str], endpoint: ModelEndpoint, asked_model: str, http_status: int
) -> ModelAnswer | Failure:
    """The answer in a JSON body, or Failure `invalid_output` (with the body, shortened) if it has no finished choice.

    Usage that is missing or malformed counts as 0.
    """
    body = response if isinstance(response, dict) else {}
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return _invalid("the answer has no choice with a message", response, http_status)
    finish_reason = choice.get("finish_reason")
    if not isinstance(finish_reason, str) or not finish_reason:
        return _invalid("the answer has no finish_reason, so it is incomplete", response, http_status)
    named = body.get("model")
    model = named if isinstance(named, str) and named else asked_model
    usage = _object(body.get("usage"))
    tokens = (
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _count(_object(usage.get("prompt_tokens_details")).get("cached_tokens")),
    )
    price = endpoint.prices.get(model) or endpoint.prices.get(asked_model, _FREE)
    return ModelAnswer(
        provider=headers.get(PROVIDER_HEADER) or endpoint.host,
        model=model,
        response=response,
        finish_reason=finish_reason,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        cached_tokens=tokens[2],
        cost_microusd=price.cost_microusd(*tokens),
    )


def _invalid(why: str, response: Json, http_status: int) -> Failure:
    kept = shortened(orjson.dumps(response).decode(), KEPT_BODY_LIMIT)
    return Failure(
        error_class=outcomes.INVALID_OUTPUT,
        error_message=f"{why}: {kept}",
        retryable=True,
        http_status=http_status,
    )


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _count(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
