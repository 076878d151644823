"""`trivet gate inspect`: Inspect runs a task on two releases through this gateway at the same time, and both logs become evidence.

Rule of the file: the evidence is labelled imported. Each call is bound to its release here, but which answers were scored, and how,
is Inspect's word and not the gateway's.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach
from gateway.core.contract.alias import EVERYONE

SERVICE = "trivet"
"""How Inspect knows this gateway: `openai-api/trivet/MODEL`, with TRIVET_BASE_URL and TRIVET_API_KEY."""
CREDENTIAL_MS = 24 * 3_600_000 - 60_000
TAIL = 2_000
"""Characters of what Inspect said last that are shown when it fails."""


def inspect(  # noqa: PLR0913 - a verb has the options it needs
    task: str,
    /,
    *,
    alias: str,
    release: str,
    kind: Literal["task", "regression", "safety"],
    against: str = "",
    suite: str = "",
    scorer: str = "",
    epochs: int = 1,
    limit: int = 0,
    reach: Reach = HERE,
) -> int:
    """Run a task of Inspect on the candidate and the incumbent through this gateway, and import both logs as evidence.

    Needs the extra `trivet[inspect]`, or the command `inspect`, and runs on the gateway's machine. Exit codes as `gate check`.

    Parameters
    ----------
    task
        As `inspect eval` takes it: a file, or inspect_evals/NAME.
    alias
        Whose gate the evidence is for.
    release
        The candidate.
    kind
        Which of the alias's suites it is of: declare it as external/NAME@VERSION.
    against
        The incumbent; by default the release that is stable for everybody.
    suite
        NAME@VERSION; by default what the alias declares of this kind.
    scorer
        Which of several scorers of the task.
    epochs
        How often each sample is asked.
    limit
        Only the first samples.
    """
    from gateway.admin.asks import AliasOne  # noqa: PLC0415 - heavy; --help needs none
    from gateway.cli.evidence import import_  # noqa: PLC0415

    if epochs < 1 or limit < 0:
        raise Failed(Exit.USAGE, "--epochs is at least 1, --limit not below 0")
    command = found()
    incumbent = against or reach.call("alias.show", AliasOne(alias=alias)).state.lanes[EVERYONE].release
    words = ("--epochs", str(epochs), *(("--limit", str(limit)) if limit else ()))
    with tempfile.TemporaryDirectory(prefix="trivet-inspect-") as folder:
        with show.working(f"inspect asks {release} and {incumbent}"):
            one, other = logs(
                [*command, "eval", *words], task, (release, incumbent), environment(reach), folder=Path(folder)
            )
        return import_(
            alias,
            candidate=release,
            incumbent=incumbent,
            candidate_log=one,
            incumbent_log=other,
            kind=kind,
            suite=suite,
            scorer=scorer,
            note=f"inspect eval {task}"[:200],
            reach=reach,
        )


def found() -> tuple[str, ...]:
    """The command of Inspect. Raises Failed."""
    if importlib.util.find_spec("inspect_ai") is not None:
        return (sys.executable, "-m", "inspect_ai")
    command = shutil.which("inspect")
    if command is None:
        raise Failed(Exit.USAGE, "Inspect is not installed: pip install 'trivet[inspect]'")
    return (command,)


def environment(reach: Reach) -> dict[str, str]:
    """This environment, with the data port and a credential of the gate's own for a day. Raises Failed."""
    from gateway.core.binding.internal import mint  # noqa: PLC0415
    from gateway.core.contract.fault import Fault  # noqa: PLC0415
    from gateway.wiring.dataport import data_port  # noqa: PLC0415

    try:
        port = data_port(reach.loaded().config.settings)
    except Fault as fault:
        raise Failed(Exit.REFUSED, fault.message) from fault
    made = {**os.environ, f"{SERVICE.upper()}_BASE_URL": f"{port.url}/v1"}
    made[f"{SERVICE.upper()}_API_KEY"] = mint(port.key, "gate", time.time_ns() // 1_000_000 + CREDENTIAL_MS)
    if port.certificate:
        made["SSL_CERT_FILE"] = port.certificate
    return made


def logs(
    command: Sequence[str], task: str, releases: tuple[str, str], environment: dict[str, str], *, folder: Path
) -> tuple[Path, Path]:
    """Run both at the same time, so that neither has the better hour; the logs, in order. Raises Failed.

    Inspect looks for a file below its working folder only, so that of a task's file is it.
    """
    file = Path(task.partition("@")[0]).absolute()
    where, named = (file.parent, task.replace(task.partition("@")[0], file.name)) if file.is_file() else (None, task)
    places = [folder / side for side in ("candidate", "incumbent")]
    options = ("--log-format", "json", "--display", "none", "--no-fail-on-error")
    with ExitStack() as stack:
        running = []
        for release, place in zip(releases, places, strict=True):
            place.mkdir()
            said = stack.enter_context((place / "said").open("wb"))
            model = f"openai-api/{SERVICE}/{release}"
            argv = [*command, named, "--model", model, "--log-dir", str(place), *options]
            running.append(
                subprocess.Popen(  # noqa: S603 - the person who types it may run it
                    argv, cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
                )
            )
        try:
            codes = [each.wait() for each in running]
        except BaseException:
            for each in running:
                each.terminate()
            raise
    made = [sorted(place.glob("*.json")) for place in places]
    for place, code, files in zip(places, codes, made, strict=True):
        if code or len(files) != 1:
            told = (place / "said").read_text(errors="replace")[-TAIL:].strip()
            raise Failed(Exit.BROKEN, f"inspect ended with {code} and {len(files)} logs:\n{told}")
    return made[0][0], made[1][0]
