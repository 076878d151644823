"""Do two windows of answers to the same prompts come from the same model? A two-sample test on text alone.

The kernel of two completions of one prompt is the number of positions at which they have the same character, over the root of
the product of their lengths, an end mark counted with each: 1 for equal texts. Across prompts it is 0. The statistic is the unbiased
squared maximum mean discrepancy of each prompt, averaged over the prompts, so a prompt with long answers weighs as much as one
with short ones. Labels are permuted within each prompt, which is exact for any prompts however they differ, and
p = (1 + permutations at least as large) / (1 + permutations), which is never 0 and never too small.

Source: Gao, Liang and Guestrin, "Model equality testing", ICLR 2025, arXiv 2410.20247, for the kernel; Phipson and Smyth 2010 for the p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from operator import eq

from gateway.core.stats.draws import Draws

CHARACTERS = 200
"""Of each completion; what comes later depends on what came before."""
PERMUTATIONS = 1000
LEVEL = 0.01
WINDOWS = 2
"""Consecutive windows below the level that make an alarm."""
_END = "\0"
_TIE = 1e-12
"""Sums in another order differ by less; a tie counts against an alarm."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found."""

    statistic: float
    """About 0 for the same model, up to 2."""
    p: float
    prompts: int
    """Prompts that had two completions or more on both sides; the others say nothing."""
    calls: int
    """Completions of the newer window that were used."""


@dataclass(frozen=True, slots=True)
class _Prompt:
    """One prompt's completions, reference first, as what a permutation needs."""

    kernel: list[list[float]]
    rows: list[float]
    """Sum of each completion's kernels with all others."""
    before: int
    after: int


def compare(
    reference: Mapping[str, Sequence[str]],
    now: Mapping[str, Sequence[str]],
    seed: int,
    permutations: int = PERMUTATIONS,
    characters: int = CHARACTERS,
) -> Compared:
    """Compare the completions of a window with the reference's, prompt by prompt. The seed decides the permutations.

    Raises ValueError when no prompt has two completions on both sides.
    """
    prompts = [
        _prompt([text[:characters] + _END for text in (*reference[name], *now[name])], len(reference[name]))
        for name in sorted(reference.keys() & now.keys())
        if len(reference[name]) > 1 and len(now[name]) > 1
    ]
    if not prompts:
        raise ValueError("no prompt has two completions in both windows")
    observed = sum(_discrepancy(prompt, range(prompt.before)) for prompt in prompts)
    draws = Draws(seed)
    orders = [list(range(prompt.before + prompt.after)) for prompt in prompts]
    larger = 0
    for _ in range(permutations):
        drawn = sum(
            _discrepancy(prompt, draws.part(order, prompt.before))
            for prompt, order in zip(prompts, orders, strict=True)
        )
        larger += drawn >= observed - _TIE
    return Compared(
        statistic=observed / len(prompts),
        p=(1 + larger) / (1 + permutations),
        prompts=len(prompts),
        calls=sum(prompt.after for prompt in prompts),
    )


def alarmed(ps: Sequence[float], level: float = LEVEL, windows: int = WINDOWS) -> bool:
    """Whether the newest windows, oldest first, all differ from the reference: one alone is chance, or a bad hour."""
    return len(ps) >= windows and all(p < level for p in ps[-windows:])


def kernel(one: str, other: str) -> float:
    """Share of positions with the same character; 1 for equal texts, 0 when either is empty."""
    size = len(one) * len(other)
    return sum(map(eq, one, other)) / sqrt(size) if size else 0.0


def _prompt(texts: list[str], before: int) -> _Prompt:
    size = len(texts)
    held = [[0.0] * size for _ in texts]
    for i, one in enumerate(texts):
        for j in range(i):
            held[i][j] = held[j][i] = kernel(one, texts[j])
    return _Prompt(held, [sum(row) for row in held], before, size - before)


def _discrepancy(prompt: _Prompt, chosen: Sequence[int]) -> float:
    """The unbiased estimate when `chosen` is the reference: mean within it, plus mean within the rest, less twice the mean between."""
    within = reach = 0.0
    for at, i in enumerate(chosen):
        row = prompt.kernel[i]
        reach += prompt.rows[i]
        for j in chosen[:at]:
            within += row[j]
    between = reach - 2 * within
    rest = (sum(prompt.rows) - reach - between) / 2
    n, m = prompt.before, prompt.after
    return within / (n * (n - 1) / 2) + rest / (m * (m - 1) / 2) - 2 * between / (n * m)
