"""The command line: one file per noun, joined here.

Rule of the file: nothing heavy is imported before a verb needs it, so `trivet --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App

from gateway import __version__
from gateway.cli import (
    alias,
    check,
    config,
    demo,
    imports,
    key,
    release,
    rollback,
    rollout,
    run,
    serve,
    shadow,
    show,
    status,
    store,
    tenant,
)
from gateway.cli.exits import Exit, exit_of
from gateway.cli.reach import Failed
from gateway.core.contract.fault import Fault

EPILOGUE = (
    "Exit codes: 0 done, 1 refused or the answer is no, 2 usage or configuration, 3 unreachable, "
    "4 not allowed, 5 the gateway failed, 6 done but not confirmed by every worker."
)


def build() -> App:
    """All verbs."""
    app = App(
        name="trivet",
        help="An LLM gateway that keeps every agent run on its release: model, prompt and tools as one revertible thing.",
        help_epilogue=EPILOGUE,
        version=__version__,
        result_action="return_value",
    )
    app.command(serve.serve)
    app.command(demo.demo)
    app.command(check.check)
    app.command(status.status)
    app.command(rollback.rollback)
    for noun in (release, alias, rollout, shadow, run, tenant, key, store, config, imports):
        app.command(noun.build())
    return app


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        code = build()(list(arguments), exit_on_error=True)
    except Failed as failed:
        show.refuse(failed.message)
        return failed.code
    except Fault as fault:
        show.refuse(fault.message)
        return exit_of(fault.status)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left; Python would complain while ending
        return Exit.OK
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Exit.USAGE
    except Exception as error:
        if os.environ.get("TRIVET_DEBUG"):
            raise
        show.refuse(f"unexpected {type(error).__name__}; TRIVET_DEBUG=1 shows where")
        return Exit.BROKEN
    return int(code) if isinstance(code, int) else Exit.OK
