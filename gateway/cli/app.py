"""The command line: one file per noun, joined here.

Rule of the file: nothing is imported that the command at hand does not need: not the other nouns, and not the rooms below
before a verb asks for them. A script that calls `trivet` in a loop, and each `trivet serve`, starts the sooner.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType

from cyclopts import App

from gateway import __version__
from gateway.cli import show
from gateway.cli.exits import Exit, exit_of, unanswered
from gateway.cli.reach import Failed
from gateway.core.contract.fault import Fault

EPILOGUE = (
    "Exit codes: 0 done, 1 refused or the answer is no, 2 usage or configuration, 3 unreachable, "
    "4 not allowed, 5 the gateway failed, 6 done but not confirmed by every worker, "
    "7 no verdict (of verbs whose 0, 1, 2 are GO, NO-GO, INSUFFICIENT)."
)


COMMANDS = MappingProxyType(
    {
        **{
            verb: f"gateway.cli.{verb}"
            for verb in ("serve", "demo", "check", "status", "rollback", "warm", "lifecycle")
        },
        **{noun: f"gateway.cli.{noun}" for noun in ("release", "alias", "rollout", "shadow", "run", "tenant", "key")},
        **{noun: f"gateway.cli.{noun}" for noun in ("gate", "evidence", "drift", "store", "config")},
        "import": "gateway.cli.imports",
    }
)
"""Where each first word is at home: a function of that name is a verb, else `build` makes the noun. Help lists them so."""


def build(word: str = "") -> App:
    """The command line of one first word; of every one when it is none of them, as for help and for slips."""
    app = App(
        name="trivet",
        help="An LLM gateway that keeps every agent run on its release: model, prompt and tools as one revertible thing.",
        help_epilogue=EPILOGUE,
        version=__version__,
        result_action="return_value",
    )
    for name in (word,) if word in COMMANDS else COMMANDS:
        home = import_module(COMMANDS[name])
        app.command(getattr(home, name, None) or home.build())
    return app


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        code = build(*arguments[:1])(list(arguments), exit_on_error=True)
    except Failed as failed:
        show.refuse(failed.message)
        return unanswered(failed.code, arguments)
    except Fault as fault:
        show.refuse(fault.message)
        return unanswered(exit_of(fault.status), arguments)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left; Python would complain while ending
        return Exit.OK
    except SystemExit as ended:
        return unanswered(ended.code if isinstance(ended.code, int) else Exit.USAGE, arguments)
    except Exception as error:
        if os.environ.get("TRIVET_DEBUG"):
            raise
        show.refuse(f"unexpected {type(error).__name__}; TRIVET_DEBUG=1 shows where")
        return Exit.BROKEN
    return int(code) if isinstance(code, int) else Exit.OK
