"""Held-out paragraphs with words blanked, chosen by a seed: single words, several, and phrases."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import regex

__all__ = ["FEWEST_WORDS", "MOST_WORDS", "WORD", "HiddenText", "hide_words"]

FEWEST_WORDS, MOST_WORDS = 8, 40
"""Length of the paragraphs that words are hidden in."""

# Whole words of at least two letters: no part of `n-gram`, `Linear2` or `don't`.
WORD = regex.compile(r"(?<![\w'-])\p{L}[\p{L}\p{M}]+(?![\w'-])")


@dataclass(frozen=True, slots=True)
class HiddenText:
    """A paragraph with blanks.

    Attributes:
        text: with `[MASK]` for each blank.
        originals: what each of them hides.
    """

    text: str
    originals: tuple[str, ...]


def hide_words(
    paragraphs: Sequence[str],
    count: int,
    seed: int,
    *,
    num_blanks: int = 1,
    words_in_a_blank: int = 1,
) -> list[HiddenText]:
    """Return up to `count` of the paragraphs of moderate length, with words of each blanked.

    Args:
        paragraphs: to choose from.
        count: how many to return, if there are as many.
        seed: by which paragraphs and words are chosen.
        num_blanks: blanks in a paragraph, with a word at least between them.
        words_in_a_blank: words in a row that each of them hides, with nothing but spaces between.
    """
    rng = np.random.default_rng(seed)
    hidden: list[HiddenText] = []
    for index in rng.permutation(len(paragraphs)):
        if len(hidden) == count:
            break
        text = " ".join(paragraphs[index].split())
        if not FEWEST_WORDS <= len(text.split()) <= MOST_WORDS:
            continue
        spans = _drawn(_runs(text, words_in_a_blank), num_blanks, rng)
        if spans is not None:
            hidden.append(_with_blanks(text, spans))
    return hidden


def _runs(text: str, length: int) -> list[tuple[int, int]]:
    """Return where each run of `length` words starts and ends, in characters."""
    words = [match.span() for match in WORD.finditer(text)]
    runs = [words[start : start + length] for start in range(len(words) - length + 1)]
    return [
        (run[0][0], run[-1][1])
        for run in runs
        if all(text[end:start] == " " for (_, end), (start, _) in pairwise(run))
    ]


def _drawn(
    spans: list[tuple[int, int]], count: int, rng: np.random.Generator
) -> list[tuple[int, int]] | None:
    """Return `count` of the spans in the order of the text, no two of which touch."""
    chosen: list[tuple[int, int]] = []
    for index in rng.permutation(len(spans)):
        start, end = spans[index]
        if all(end + 1 < other[0] or other[1] + 1 < start for other in chosen):
            chosen.append((start, end))
        if len(chosen) == count:
            return sorted(chosen)
    return None


def _with_blanks(text: str, spans: list[tuple[int, int]]) -> HiddenText:
    starts = [0, *(end for _, end in spans)]
    ends = [*(start for start, _ in spans), len(text)]
    kept = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return HiddenText("[MASK]".join(kept), tuple(text[start:end] for start, end in spans))
