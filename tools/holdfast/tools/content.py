"""The content store: bodies by their SHA-256, in a folder or in any object store that a URL names.

A body is never changed, so writing it again is harmless, and whoever reads it sees whether it is what was written.
"""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url

from holdfast.schemas.content import ContentReference
from holdfast.tools import errors
from holdfast.tools.errors import ToolError

BODY_LIMIT_BYTES = 256 * 1024 * 1024

T = TypeVar("T")


class ContentUrlError(ValueError):
    """No store can be made of a URL; the text says why."""


class ContentError(ToolError):
    """The store cannot give or take a body; `code` is a class of `errors.py`."""


class ContentStore:
    """Bodies of at most BODY_LIMIT_BYTES. Its methods may be called from several threads.

    A body appears at once and as a whole. A folder does not wait for its disk: what was written last before a machine
    loses its power may be missing or corrupt, and is then seen to be.
    """

    def __init__(self, url: str) -> None:
        """The store that a URL names, such as `file:///data/content` or `s3://bucket/prefix`. Raises ContentUrlError.

        What else a store wants to be told (region, key, endpoint) it reads from the environment, by its usual names.
        """
        options: dict[str, Any] = {"mkdir": True} if url.startswith("file:") else {}
        try:
            self._store: ObjectStore = from_url(url, **options)
        except (BaseError, OSError, ValueError) as exc:
            raise ContentUrlError(f"{url!r} names no content store: {_first_line(exc)}") from exc

    def put(self, body: bytes, lines: int | None = None) -> ContentReference:
        """Keep a body, of so many JSON lines if it is any; its reference. Raises ContentError."""
        _check_size(len(body))
        reference = ContentReference(
            content=f"sha256:{hashlib.sha256(body).hexdigest()}", size_bytes=len(body), lines=lines
        )
        _asked(reference.content, lambda: obstore.put(self._store, _path(reference.content), body))
        return reference

    def get(self, content: str) -> bytes:
        """The body of `sha256:<hex>`, which it is known to be. Raises ContentError."""
        _check_size(self.size_bytes(content))
        body = _asked(content, lambda: bytes(obstore.get(self._store, _path(content)).bytes()))
        if f"sha256:{hashlib.sha256(body).hexdigest()}" != content:
            raise ContentError(
                errors.CONTENT_CORRUPT,
                f"{content} was changed in the content store: its {len(body)} bytes have another hash",
                retryable=False,
            )
        return body

    def size_bytes(self, content: str) -> int:
        """The size of the body of `sha256:<hex>`. Raises ContentError."""
        return _asked(content, lambda: obstore.head(self._store, _path(content)))["size"]


def _path(content: str) -> str:
    kind, _, digest = content.partition(":")
    return f"{kind}/{digest[:2]}/{digest}"


def _check_size(size_bytes: int) -> None:
    if size_bytes > BODY_LIMIT_BYTES:
        raise ContentError(
            errors.CONTENT_TOO_LARGE,
            f"the body has {size_bytes} bytes, more than {BODY_LIMIT_BYTES}: split it",
            retryable=False,
        )


def _asked(content: str, act: Callable[[], T]) -> T:
    """What the store answers. Raises ContentError."""
    try:
        return act()
    except FileNotFoundError as exc:
        raise ContentError(errors.CONTENT_MISSING, f"the content store has no {content}", retryable=False) from exc
    except (PermissionDeniedError, UnauthenticatedError, PermissionError) as exc:
        raise ContentError(
            errors.PERMISSION_DENIED, f"the content store refuses {content}: {_first_line(exc)}", retryable=False
        ) from exc
    except (BaseError, OSError) as exc:
        raise ContentError(
            errors.UNAVAILABLE, f"the content store did not answer about {content}: {_first_line(exc)}", retryable=True
        ) from exc


def _first_line(exc: Exception) -> str:
    return str(exc).partition("\n")[0]
