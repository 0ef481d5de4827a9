"""Chat completions out of a script: a pure function of the request."""

from typing import Any

from holdfast.ops.scripted_model.script import Answer, Rule, Script, ScriptError, Usage
from holdfast.ops.scripted_model.template import fill
from holdfast.ops.scripted_model.transcript import Transcript
from holdfast.schemas import jsontext
from holdfast.schemas.record import Json

CHARACTERS_PER_TOKEN = 4
CREATED_AT_S = 1_767_225_600  # constant, so that equal requests get equal answers


def rule_for(script: Script, transcript: Transcript) -> Rule:
    """The first rule that fits. Raises ScriptError that says what the request looks like."""
    for rule in script.rules:
        if transcript.fits(rule.match):
            return rule
    raise ScriptError(
        f"no rule fits: turn {transcript.turn}, tools offered {sorted(transcript.offered)}, "
        f"results of {list(transcript.document['tools'] or ())}, system {transcript.system[:200]!r}"  # type: ignore[arg-type]
    )


def completion(rule: Rule, transcript: Transcript) -> dict[str, Any]:
    """The response body. Raises ScriptError if the answer points to something that the transcript lacks."""
    message = _message(rule.answer, transcript)
    finish_reason = "tool_calls" if rule.answer.tool_calls else "stop"
    return {
        "id": f"chatcmpl-{transcript.digest[:24]}",
        "object": "chat.completion",
        "created": CREATED_AT_S,
        "model": transcript.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": _usage(rule.usage, transcript, message),
    }


def _message(answer: Answer, transcript: Transcript) -> dict[str, Any]:
    content = fill(answer.content, transcript.document)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if content is None or isinstance(content, str) else jsontext.dumps(content),
    }
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": f"call_{transcript.digest[:12]}_{place}",
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": jsontext.dumps(fill(_json(call.arguments), transcript.document)),
                },
            }
            for place, call in enumerate(answer.tool_calls)
        ]
    return message


def _json(value: dict[str, Json]) -> Json:
    return value


def _usage(usage: Usage, transcript: Transcript, message: dict[str, Any]) -> dict[str, Any]:
    prompt = _tokens(transcript.size) if usage.prompt_tokens is None else usage.prompt_tokens
    said = _tokens(len(jsontext.dumps(message)))
    completed = said if usage.completion_tokens is None else usage.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completed,
        "total_tokens": prompt + completed,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
