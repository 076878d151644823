"""`python -m gateway` is `trivet`.

The processes of `trivet serve` start through the same door under an internal word, without loading the command line:
a live worker must stay small.
"""

from __future__ import annotations

import sys

from gateway import PROCESS


def main() -> int:
    """Run the command line, or the process that a supervisor asked for; returns the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == [PROCESS]:
        from gateway.wiring.process import start  # noqa: PLC0415 - see above

        return start(arguments[1:])
    from gateway.cli.app import main as command_line  # noqa: PLC0415 - see above

    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main())
