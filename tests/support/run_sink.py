"""`python run_sink.py JSON`: a sink as a process of its own, for tests. JSON has SinkConfig's fields."""

import json
import sys
from pathlib import Path

from holdfast.projections.sink import SinkConfig, run_sink


def main() -> int:
    options = json.loads(sys.argv[1])
    return run_sink(SinkConfig(**{**options, "database_dir": Path(options["database_dir"])}))


if __name__ == "__main__":
    sys.exit(main())
