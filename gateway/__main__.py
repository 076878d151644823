"""`python -m gateway` is `trivet`.

The processes of `trivet serve` start through the same door under an internal word, without loading the command line:
a live worker must stay small.
"""

from __future__ import annotations

import sys

PROCESS = "__process__"
"""First argument of a process that a supervisor starts."""


def main() -> int:
    """Run the command line, or the process that a supervisor asked for; returns the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == [PROCESS]:
        from gateway.wiring.process import start

        return start(arguments[1:])
    from gateway.cli.app import main as command_line

    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main())
