"""`python run_executor.py JSON`: an executor as a process of its own, for tests."""

import json
import logging
import sys

from holdfast.streams.executor import ExecutorConfig, ModelEndpoint, run_model_executor, run_tool_executor
from holdfast.tools import registry_from_modules
from holdfast.tools.content import ContentStore


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    options = json.loads(sys.argv[1])
    config = ExecutorConfig(**options["config"])
    if "endpoint" in options:
        return run_model_executor(config, ModelEndpoint(**options["endpoint"]))
    return run_tool_executor(config, registry_from_modules(options["modules"]), ContentStore(options["content_url"]))


if __name__ == "__main__":
    sys.exit(main())
