"""`python -m holdfast.ops.scripted_model --script FILE --journal FILE [--port N] [--port-file FILE]`."""

import sys
from pathlib import Path

from holdfast.ops.scripted_model.script import ScriptError, load_script
from holdfast.ops.scripted_model.server import Server
from holdfast.ops.scripted_model.serving import parser, serve


def main() -> int:
    """Serve until SIGTERM. Returns the exit code."""
    options = parser("A model server that answers out of a script.")
    options.add_argument("--script", type=Path, required=True, help="YAML or JSON file with rules and faults")
    arguments = options.parse_args()
    try:
        script = load_script(arguments.script)
    except ScriptError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    serve(lambda: Server(script, arguments.journal).app(), port=arguments.port, port_file=arguments.port_file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
