"""A manifest from its file, with the line of whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.manifest import read
from gateway.settings.problems import SettingsError

HEAD = "kind: Rollout\nalias: agent\nrelease: rel_0123456789abcdef\n"
EXAMPLES = sorted((Path(__file__).parents[2] / "config" / "rollouts").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_read(path: Path) -> None:
    """Every manifest that ships is one that the gateway takes."""
    assert read(path.read_text(), str(path)).alias


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "preset: fast\n", "m.yaml:4: preset: "),
        (HEAD + "stepps: []\n", "m.yaml:4: stepps: unknown key"),
        (HEAD + "steps:\n  - {weight: 1%}\n  - {weight: 1%}\n", "m.yaml:6: steps[1].weight: must be above that of"),
        (HEAD + "steps:\n  - weight: 5%\n    bake: soon\n", "m.yaml:6: steps[0].bake: must be a duration"),
        (HEAD + "lanes:\n  - nobody\n", "m.yaml:5: lanes[0]: must be *"),
        (
            HEAD + "guardrails:\n  error: rollback\n  refusal: {actoin: freeze}\n",
            "m.yaml:6: guardrails.refusal.actoin:",
        ),
        (HEAD + "guardrails:\n  error: rollback\n  refusal: explode\n", "m.yaml:6: guardrails.refusal"),
        (HEAD + "guardrails:\n  sadness: freeze\n", "m.yaml:5: guardrails.sadness: is not a metric"),
        (HEAD + "shadow:\n  trios: many\n", "m.yaml:5: shadow.trios: "),
        (HEAD + "deadline: 1m\n", "m.yaml:4: deadline: must be longer"),
        ("kind: Rollout\nalias: agent\n", "m.yaml:1: Object missing required field `release`"),
        (HEAD + "alias: other\n", "m.yaml:4: alias: is given twice, first on line 2"),
    ],
)
def test_each_mistake_has_its_line(text: str, told: str) -> None:
    """A problem is told as `file:line: member: what is wrong`, also inside lists and maps."""
    with pytest.raises(SettingsError) as caught:
        read(text, "m.yaml")
    assert str(caught.value).startswith(told), str(caught.value)
