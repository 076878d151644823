"""The operator's probe prompts: read whole, or refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.load import load
from gateway.settings.model import ProbeDeclared
from gateway.settings.probes import PromptsError, findings, read

GOOD = b'"Who are you?"\n\n{"prompt": "2+2?"}\n{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}\n'


def declared(folder: Path, data: bytes, **more: int) -> ProbeDeclared:
    """Prompts in a file."""
    (folder / "p.jsonl").write_bytes(data)
    return ProbeDeclared(str(folder / "p.jsonl"), **more)


def test_prompts_are_texts_or_conversations(tmp_path: Path) -> None:
    """Each line is an item of its own; layout does not matter to the digest, words and the bound of tokens do."""
    found = read(declared(tmp_path, GOOD, tokens=30))
    assert [[said.content for said in item.messages] for item in found.items] == [
        ["Who are you?"],
        ["2+2?"],
        ["s", "u"],
    ]
    assert {item.max_tokens for item in found.items} == {30}
    assert read(declared(tmp_path, GOOD.replace(b": ", b":"), tokens=30)).digest == found.digest
    assert read(declared(tmp_path, GOOD, tokens=31)).digest != found.digest
    assert read(declared(tmp_path, GOOD.replace(b"2+2", b"2+3"), tokens=30)).digest != found.digest


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "has 0 prompts"),
        (b'"a"\n{', "p.jsonl:2: is no prompt"),
        (b'{"prompt": "a", "messages": [{"role": "user"}]}', "one of them"),
        (b"{}", "one of them"),
        (b'{"messages": [{"role": "tool", "content": "x"}]}', "roles are"),
        (b'"a"\n' * 201, "has 201 prompts"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, data: bytes, told: str) -> None:
    """With the line, where it is one."""
    with pytest.raises(PromptsError, match=told):
        read(declared(tmp_path, data))


def test_check_reads_them(tmp_path: Path) -> None:
    """A file that is gone is an error; few prompts, and a window that no day's calls hold, are warnings. Paths are the
    configuration's."""
    (tmp_path / "p.jsonl").write_text("\n".join(f'"{number}"' for number in range(3)))
    config = tmp_path / "gateway.yaml"
    text = """
providers: {openai: {base_url: "https://api.openai.com", api_key: k}}
probes: {calls: 20}
aliases:
  a: {first_release: {model: openai/gpt-4o-2024-08-06}, probes: {prompts: p.jsonl}}
  b: {first_release: {model: openai/gpt-4o-2024-08-06}, probes: {prompts: gone.jsonl}}
"""
    config.write_text(text)
    found = [(level, key) for level, key, _ in findings(load(config, {}))]
    assert found == [
        ("warning", "aliases.a.probes.prompts"),
        ("warning", "probes.calls"),
        ("error", "aliases.b.probes.prompts"),
    ]
