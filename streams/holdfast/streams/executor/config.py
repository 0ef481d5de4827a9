"""What an executor is told when it starts. Everything else about a call stands in its task."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from holdfast.streams.broker_wait import BROKER_WAIT_S
from holdfast.streams.executor.limits import OPEN_OFFSETS_LIMIT, WAITING_LIMIT

_INSTANCE_ID = re.compile(r"[A-Za-z0-9._-]{0,200}")
DEFAULT_MODEL = "default"


@dataclass(frozen=True, kw_only=True)
class ExecutorConfig:
    """One executor process.

    `executor_id` (role@host/pid-start) is unique for each start: claims and grants carry it. `slots` is the number of
    calls at the same time, and `spare_slots` how many more there may be for tenants and classes that have none.
    `grace_ms` is how long running calls may go on after SIGTERM. `instance_id` is a name that
    stays when the process is started again (at most 200 of A-Z a-z 0-9 . _ -): whoever comes back under it gets the
    tasks of the one that was killed at once, and not after `session_timeout_ms`; two live processes with one name end
    each other. It holds `waiting_limit` tasks ahead of their turn, and reads no further than `open_limit` records
    behind the first one that is not finished. `broker_wait_s` is how long it waits at its start for a broker that is
    away. Raises ValueError for values out of range.
    """

    bootstrap: str
    topic_prefix: str
    executor_id: str
    slots: int
    spare_slots: int = 0
    session_timeout_ms: int = 10_000
    instance_id: str = ""
    grace_ms: int = 10_000
    waiting_limit: int = WAITING_LIMIT
    open_limit: int = OPEN_OFFSETS_LIMIT
    broker_wait_s: float = BROKER_WAIT_S

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"slots must be at least 1, not {self.slots}")
        if self.spare_slots < 0:
            raise ValueError(f"spare_slots must be at least 0, not {self.spare_slots}")
        if not self.executor_id:
            raise ValueError("executor_id must not be empty")
        if not _INSTANCE_ID.fullmatch(self.instance_id):
            raise ValueError(f"instance_id {self.instance_id!r} must be at most 200 of A-Z a-z 0-9 . _ -")


@dataclass(frozen=True, kw_only=True)
class ModelPrice:
    """Price of one model, in millionths of a US dollar per million tokens."""

    input_microusd: int
    output_microusd: int
    cached_microusd: int = 0

    def cost_microusd(self, input_tokens: int, output_tokens: int, cached_tokens: int) -> int:
        """Cost of one call, rounded up. `cached_tokens` are part of `input_tokens`."""
        total = (
            max(input_tokens - cached_tokens, 0) * self.input_microusd
            + cached_tokens * self.cached_microusd
            + output_tokens * self.output_microusd
        )
        return -(-total // 1_000_000)


@dataclass(frozen=True, kw_only=True)
class ModelEndpoint:
    """An OpenAI-compatible server.

    `base_url` includes the version path, such as `http://127.0.0.1:8080/v1`. An empty `api_key` is for servers that
    want none. `model` is the model that tasks for the model `default` get. `prices` are by model name; a model that
    is not in it costs 0. Raises ValueError if `base_url` is not an HTTP address.
    """

    base_url: str
    api_key: str = field(default="", repr=False)
    model: str = ""
    prices: Mapping[str, ModelPrice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https") or not self.host:
            raise ValueError(f"the model's base URL {self.base_url!r} must look like http://host:port/v1")

    @property
    def host(self) -> str:
        """Host name of the server: the provider of answers that do not name one."""
        return urlsplit(self.base_url).hostname or ""
