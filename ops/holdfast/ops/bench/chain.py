"""The workflow of the benchmark: a chain of equal tool calls, each one a durable step."""

from holdfast.ops.bench.tools import bench_look
from holdfast.streams.core.definition import Definition

NAME = "bench-chain"


def chain(steps: int) -> Definition:
    """A definition with so many `read` tool calls in a row."""
    names = [f"look_{number}" for number in range(steps)]
    calls = {
        name: {"kind": "tool", "tool": "bench_look", "arguments": {"number": number}, "next": following}
        for number, (name, following) in enumerate(zip(names, [*names[1:], "done"], strict=True))
    }
    return Definition.model_validate(
        {
            "name": NAME,
            "deadline": "1h",
            "start": names[0],
            "steps": {**calls, "done": {"kind": "succeed"}},
            "tools": {"bench_look": bench_look.manifest.to_json()},
        }
    )
