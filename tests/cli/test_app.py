"""The command line as a whole: quick, documented, without tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from gateway.cli.app import COMMANDS, build, main
from tests.gateway_process import ROOT


def trivet(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_help_is_quick() -> None:
    """`trivet --help` answers within half a second of CPU time and names the exit codes."""
    times = []
    for _ in range(3):
        before = os.times()
        done = trivet("--help")
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert done.returncode == 0
    assert "Exit codes" in done.stdout
    assert min(times) < 0.5, times


def test_help_loads_no_heavy_room() -> None:
    """Reading the help loads neither aiohttp nor redis nor the store."""
    code = "import sys; from gateway.cli.app import main; main(['--help']); print(*[m for m in ('aiohttp', 'redis', 'uvloop', 'gateway.store') if m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr.strip() == ""


def test_a_verb_loads_no_other() -> None:
    """A command costs what it needs: one noun's file, and no other's."""
    code = "import sys; from gateway.cli.app import main; main(['key', '--help']); print(*[m for m in ('release', 'imports', 'serve') if 'gateway.cli.' + m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr.strip() == ""


def test_every_first_word_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Help names each of them, and each of them alone is the same command."""
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    for word in COMMANDS:
        assert f" {word} " in listed
        assert word in build(word)


@pytest.mark.parametrize(
    "words", [["--help"], ["release", "--help"], ["release", "create", "--help"], ["rollback", "--help"], ["--version"]]
)
def test_help_of_verbs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every level has its help."""
    assert main(words) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["nope"], ["rollback"], ["rollback", "a"], ["release", "create", "--nope"], ["key", "new", "--right"]]
)
def test_usage_errors_are_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that cannot be understood ends with 2 and says so on standard error."""
    assert main(words) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["run"], ["run", "a", "--nope"], ["run", "a", "--release", "r", "--resume", "g"], ["check", "a"]]
)
def test_a_slip_is_no_word_of_the_gate(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A verb that answers with a verdict has a code of its own for a command line that cannot be understood."""
    assert main(["gate", *words]) == 7
    assert capsys.readouterr().err


def test_unexpected_error_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error nobody expected is 5, named by kind; its text may quote a secret and is not shown."""

    def burst() -> None:
        raise LookupError("sk-secret")

    app = build()
    app.command(burst, name="burst")
    monkeypatch.setattr("gateway.cli.app.build", lambda *_: app)
    assert main(["burst"]) == 5
    shown = capsys.readouterr().err
    assert "LookupError" in shown
    assert "sk-secret" not in shown


def test_closed_pipe_is_quiet() -> None:
    """`trivet ... | head` ends without a traceback."""
    done = subprocess.run(
        f"{sys.executable} -m gateway --help | head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_start_time_is_said_in_wall_clock() -> None:
    """Even with a cold cache a help text takes no visible time."""
    begun = time.monotonic()
    trivet("--version")
    assert time.monotonic() - begun < 3
