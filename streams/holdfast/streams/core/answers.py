"""Reading a model's raw answer (OpenAI chat completions). Whatever is in it, this never raises."""

from dataclasses import dataclass

from holdfast.schemas import jsontext
from holdfast.schemas.record import Json

FENCE = "```"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedCall:
    """A tool call that the model asks for; `problem` says why it cannot be made as it stands."""

    call_id: str
    tool: str
    arguments: Json
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said: text, or tool calls; `problem` says why it is neither."""

    content: str = ""
    calls: tuple[ProposedCall, ...] = ()
    problem: str = ""


def read_answer(response: Json) -> Answer:
    """The answer in a raw response body."""
    choice = _first_choice(response)
    message = choice.get("message")
    if not isinstance(message, dict):
        return Answer(problem="the answer has no message")
    if choice.get("finish_reason") == "length":
        return Answer(problem="the answer was cut off at the output limit")
    if not choice.get("finish_reason"):
        return Answer(problem="the answer does not say why it ended, so it may be incomplete")
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        return Answer(calls=tuple(_proposed(call, index) for index, call in enumerate(calls)))
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        return Answer(problem="the answer is empty")
    return Answer(content=content)


def assistant_message(response: Json) -> Json:
    """The message to keep in the transcript, reduced to what servers accept back; None if there is none."""
    message = _first_choice(response).get("message")
    if not isinstance(message, dict):
        return None
    kept: dict[str, Json] = {"role": "assistant", "content": message.get("content")}
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        kept["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.tool, "arguments": jsontext.dumps(call.arguments)},
            }
            for call in (_proposed(raw, index) for index, raw in enumerate(calls))
        ]
    return kept


def parse_output(content: str) -> Json:
    """The JSON value in an answer's text, with one code fence around it taken off. Raises ValueError."""
    text = content.strip()
    if text.startswith(FENCE) and text.endswith(FENCE):
        text = text[len(FENCE) : -len(FENCE)].removeprefix("json").strip()
    return jsontext.loads(text)


def _first_choice(response: Json) -> dict[str, Json]:
    choices = response.get("choices") if isinstance(response, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _proposed(raw: Json, index: int) -> ProposedCall:
    call = raw if isinstance(raw, dict) else {}
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    # Providers send empty and repeated ids: the place in the answer makes them usable.
    call_id = f"{call.get('id') or 'call'}.{index}"
    tool = str(function.get("name") or "")
    text = function.get("arguments") or "{}"
    try:
        arguments = jsontext.loads(text) if isinstance(text, str) else text
    except ValueError:
        return ProposedCall(call_id=call_id, tool=tool, arguments={}, problem="the arguments are not JSON")
    if not isinstance(arguments, dict):
        return ProposedCall(call_id=call_id, tool=tool, arguments={}, problem="the arguments are not a JSON object")
    return ProposedCall(call_id=call_id, tool=tool, arguments=arguments)
