"""How a tool says that it failed. The classes that the engine itself gives stand here too, so nobody invents twice."""

import re

ERROR_MESSAGE_LIMIT = 2_000
CODE = re.compile(r"[a-z][a-z0-9_]{0,62}")

INVALID_ARGUMENTS = "invalid_arguments"
INVALID_RESULT = "invalid_result"
TOOL_ERROR = "tool_error"
CANCELLED = "cancelled"
UNAVAILABLE = "unavailable"
PERMISSION_DENIED = "permission_denied"
CONTENT_MISSING = "content_missing"
CONTENT_CORRUPT = "content_corrupt"
CONTENT_TOO_LARGE = "content_too_large"
CONTENT_NOT_JSON_LINES = "content_not_json_lines"
CONTENT_REFERENCE_INVALID = "content_reference_invalid"


class ToolError(Exception):
    """A failure that a tool knows how to name.

    `code` is the stable error class that definitions can catch (lower case, words joined by `_`), `message` a sentence.
    `retryable` says that another attempt may succeed. `outcome_unknown` says that the effect may have happened; a tool
    that leaves it False promises that it has not. Raises ValueError for a code of another form.
    """

    def __init__(self, code: str, message: str, retryable: bool, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        if not CODE.fullmatch(code):
            raise ValueError(f"the error code {code!r} must be lower case words joined by _, at most 63 characters")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.outcome_unknown = outcome_unknown


class ToolDefinitionError(Exception):
    """A tool is declared in a way that gives no manifest; the text says what to change."""


def shortened(text: str, limit: int = ERROR_MESSAGE_LIMIT) -> str:
    """`text`, with what is over `limit` characters replaced by its length."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
