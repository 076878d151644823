"""What is said offline about webhooks, without showing a secret."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gateway.settings.load import read
from gateway.settings.webhooks import SecretError, findings, key

GOOD = "whsec_" + base64.b64encode(b"k" * 32).decode()
CASES = [
    ({}, []),
    ({"url": "http://hooks.example.com/x"}, ["webhooks[0].url"]),
    ({"url": "https://127.0.0.1/x"}, ["webhooks[0].url"]),
    ({"url": "http://127.0.0.1:9/x", "allow_private": "true"}, []),
    ({"secret": "whsec_c2hvcnQ="}, ["webhooks[0].secret"]),
    ({"secret": "hunter2"}, ["webhooks[0].secret"]),
]


@pytest.mark.parametrize(("changed", "where"), CASES)
def test_what_cannot_work_is_found(tmp_path: Path, changed: dict[str, str], where: list[str]) -> None:
    """An address that may not be called and a secret that signs nothing are errors at their line; a secret is never quoted."""
    fields = {"name": "oncall", "url": "https://hooks.example.com/x", "secret": GOOD, **changed}
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "webhooks:\n  - {" + ", ".join(f'{k}: "{v}"' for k, v in fields.items()).replace('"true"', "true") + "}\n"
    )
    found = list(findings(read(file.read_bytes(), file, {})))
    assert [place for _, place, _ in found] == where
    assert all(fields["secret"] not in message for _, _, message in found)


def test_two_webhooks_of_one_name(tmp_path: Path) -> None:
    """What was told is kept by name, so a name stands once."""
    one = f'  - {{name: a, url: "https://x.example.com/", secret: {GOOD}}}\n'
    file = tmp_path / "gateway.yaml"
    file.write_text("webhooks:\n" + one + one)
    assert [place for _, place, _ in findings(read(file.read_bytes(), file, {}))] == ["webhooks[1].name"]


def test_the_key_is_the_decoded_secret() -> None:
    """Messages are signed with the bytes, not with their spelling; what is no such secret is refused."""
    assert key(GOOD) == b"k" * 32
    with pytest.raises(SecretError):
        key(GOOD.removeprefix("whsec_"))
