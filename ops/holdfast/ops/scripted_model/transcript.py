"""What a request says, as the script sees it. Nothing here counts requests, so a repeat gets the same answer."""

import json
from dataclasses import dataclass
from typing import Any

from holdfast.ops.scripted_model.script import Match, ScriptError
from holdfast.schemas import jsontext
from holdfast.schemas.record import Json

_SYSTEM = ("system", "developer")


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """A chat-completions request.

    `document` is what templates point into: `user` (the first JSON object in a user message, else the last user
    text) and `tools` (the newest result of each tool by name, as JSON where it is JSON).
    """

    model: str
    system: str
    user: str
    turn: int
    offered: frozenset[str]
    document: dict[str, Json]
    digest: str
    conversation: str
    size: int

    def fits(self, match: Match) -> bool:
        """True if every given condition holds."""
        answered = self.document["tools"]
        assert isinstance(answered, dict)
        return (
            match.system in self.system
            and match.user in self.user
            and match.turn in (None, self.turn)
            and match.model in ("", self.model)
            and set(match.answered) <= answered.keys()
            and set(match.offered) <= self.offered
        )


def read_request(body: Json) -> Transcript:
    """The transcript of a request body. Raises ScriptError if it is not one that a chat-completions server takes."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise ScriptError("the request needs a list of messages")
    if body.get("stream"):
        raise ScriptError("this server does not stream")
    messages: list[dict[str, Any]] = [m for m in body["messages"] if isinstance(m, dict)]  # type: ignore[union-attr]
    turns = [place for place, message in enumerate(messages) if message.get("role") == "assistant"]
    user = [_text(message) for message in messages if message.get("role") == "user"]
    opening = messages[: turns[0]] if turns else messages
    return Transcript(
        model=str(body.get("model", "")),
        system="\n".join(_text(message) for message in messages if message.get("role") in _SYSTEM),
        user="\n".join(user),
        turn=len(turns),
        offered=frozenset(_offered(body.get("tools"))),
        document={"user": _user_document(user), "tools": _tool_results(messages)},
        digest=jsontext.digest(messages),
        conversation=jsontext.digest(opening),
        size=len(jsontext.dumps([messages, body.get("tools")])),
    )


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _offered(tools: Json) -> list[str]:
    found = tools if isinstance(tools, list) else []
    functions = [tool.get("function") for tool in found if isinstance(tool, dict)]
    return [str(function.get("name")) for function in functions if isinstance(function, dict)]


def _user_document(texts: list[str]) -> Json:
    for text in texts:
        start = text.find("{")
        if start < 0:
            continue
        try:
            found: Json = json.JSONDecoder().raw_decode(text, start)[0]
        except ValueError:
            continue
        return found
    return texts[-1] if texts else ""


def _tool_results(messages: list[dict[str, Any]]) -> dict[str, Json]:
    names: dict[str, str] = {}
    results: dict[str, Json] = {}
    for message in messages:
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
        if message.get("role") == "tool":
            name = names.get(message.get("tool_call_id", ""), "")
            results[name] = _json_or_text(_text(message))
    return results


def _json_or_text(text: str) -> Json:
    try:
        return jsontext.loads(text)
    except ValueError:
        return text
