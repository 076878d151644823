"""What every test shares: one authority to believe instead of the machine's 150, and files in an order that fills both workers.

No test speaks to the outside, but each HTTP client, each SDK and each gateway process reads the authorities when it
starts, and for the whole list that takes 22 ms of CPU, more than most tests. `SSL_CERT_FILE` is heard by all of them.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import certifi
import pytest

TESTS = Path(__file__).parent
LONG = ("faults", "wiring", "demo", "end_to_end", "cli", "store", "live")
"""Folders whose files take long, the longest first: a worker that got one of them last would be waited for."""
END = "-----END CERTIFICATE-----\n"


def pytest_configure(config: pytest.Config) -> None:
    """Name a file with the first authority of certifi's list, for this process and those it starts."""
    folder = tempfile.TemporaryDirectory(prefix="tv-authority-")
    config.add_cleanup(folder.cleanup)
    few = Path(folder.name) / "authority.pem"
    few.write_text(Path(certifi.where()).read_text().partition(END)[0] + END)
    os.environ["SSL_CERT_FILE"] = str(few)
    config.option.loadscopereorder = False  # xdist would begin with the files of many tests, which are the quick ones


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long folders first; the order within a folder stays."""
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(TESTS).parts[0], len(rank)))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for up.test and its key, as PEM files."""
    return self_signed(tmp_path_factory.mktemp("tls"), "up.test")


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for a name that nobody vouches for, and its key."""
    chain, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key
