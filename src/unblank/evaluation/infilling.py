"""Text infilling: words of a sentence are blanked at random, filled, and compared.

As in the literature on infilling, a share of the words is drawn, and neighbours among them become
one blank of unknown length. Which words is a function of the seed, the share and the number of the
sentence.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from unblank.data.length_groups import length_batches
from unblank.evaluation.options import InfillingOptions
from unblank.evaluation.results import Score, SuiteResult, text_row
from unblank.evaluation.session import NamedTexts, Session
from unblank.evaluation.suites import InfillingSuite
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions
from unblank.generation.results import FillResult
from unblank.metrics.spread import bootstrap_error
from unblank.metrics.text import score_texts
from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.tokenization.special import BLANK_TOKENS, MASK_TOKEN

__all__ = ["blank_words", "run_infilling"]

_FILLED_AT_ONCE = 8
"""Batches between two updates of the progress bar."""


@dataclass(frozen=True, slots=True)
class Blanked:
    """A sentence with blanks.

    Attributes:
        text: with `[MASK]` for each run of drawn words, words parted by single spaces.
        answers: the words of each blank.
        original: the sentence, words parted by single spaces.
    """

    text: str
    answers: tuple[str, ...]
    original: str

    @property
    def without_blanks(self) -> str:
        """The sentence without the blanked words: what filling with nothing gives."""
        return " ".join(self.text.replace(MASK_TOKEN, " ").split())


def blank_words(text: str, ratio: float, rng: np.random.Generator) -> Blanked | None:
    """Return the sentence with a share of its words blanked.

    None is returned if nothing would be left of it, or if it holds a blank itself.

    Args:
        text: words parted by white space.
        ratio: share of the words, in (0, 1); at least one word is drawn.
        rng: source of randomness.

    Example:
        >>> blank_words("one two three four", 0.5, np.random.default_rng(1)).text
        '[MASK] three four'
    """
    words = text.split()
    count = max(1, round(ratio * len(words)))
    if count >= len(words) or any(token in text for token in BLANK_TOKENS):
        return None
    is_drawn = np.zeros(len(words), np.bool_)
    is_drawn[rng.permutation(len(words))[:count]] = True
    edges = [0, *(np.flatnonzero(np.diff(is_drawn)) + 1).tolist(), len(words)]
    runs = [(bool(is_drawn[start]), " ".join(words[start:end])) for start, end in pairwise(edges)]
    return Blanked(
        text=" ".join(MASK_TOKEN if drawn else run for drawn, run in runs),
        answers=tuple(run for drawn, run in runs if drawn),
        original=" ".join(words),
    )


def run_infilling(
    session: Session[InfillingOptions], suite: InfillingSuite
) -> Iterator[SuiteResult]:
    """Yield BLEU of the filled sentences and exact matches of the blanks, for each mask ratio."""
    max_tokens = session.options.max_tokens or suite.max_tokens
    for part in session.texts(suite.sets):
        for ratio in session.options.mask_ratios:
            yield _measure(session, part, ratio, max_tokens)


def _measure(
    session: Session[InfillingOptions], part: NamedTexts, ratio: float, max_tokens: int
) -> SuiteResult:
    started = time.perf_counter()
    name = f"{part.name} {ratio:.0%}"
    options = DecodingOptions(max_tokens=max_tokens, context=session.options.context)
    filler = Filler(session.model, session.tokenizer, options)
    blanked = _with_room(session, filler, _blanked(session, part, ratio, name), name)
    results = _fill(session, filler, [sentence.text for sentence in blanked], name)
    seconds = time.perf_counter() - started
    rows = [
        replace(score, seconds=seconds)
        for score in _scores(session.options.seed, name, blanked, results)
    ]
    predictions = [
        {
            "task": name,
            "text": sentence.text,
            "original": sentence.original,
            "filled": result.text,
            "answers": sentence.answers,
            "fills": [blank.text for blank in result.blanks],
        }
        for sentence, result in zip(blanked, results, strict=True)
    ]
    return SuiteResult(rows, predictions)


def _blanked(
    session: Session[InfillingOptions], part: NamedTexts, ratio: float, name: str
) -> list[Blanked]:
    thousandths = round(1000 * ratio)
    drawn = [
        blank_words(text, ratio, np.random.default_rng((session.options.seed, thousandths, number)))
        for number, text in enumerate(part.texts)
    ]
    blanked = [sentence for sentence in drawn if sentence is not None]
    if len(blanked) < len(drawn):
        session.say(
            f"{name}: {len(drawn) - len(blanked)} of {counted(len(drawn), 'text')} left out: "
            f"they are blanked entirely, or contain {', '.join(BLANK_TOKENS)} themselves"
        )
    if not blanked:
        raise ValueError(f"{name}: no text has words to blank and words to keep")
    return blanked


def _with_room(
    session: Session[InfillingOptions], filler: Filler, blanked: Sequence[Blanked], name: str
) -> list[Blanked]:
    """Return the sentences that the model can fill, and say how many it cannot, and why."""
    order = _order(session.options)
    problems = [filler.why_not(sentence.text, order=order) for sentence in blanked]
    kept = [one for one, problem in zip(blanked, problems, strict=True) if not problem]
    reason = next(filter(None, problems), "")
    if not kept:
        raise ValueError(f"{name}: no text can be filled: {reason}")
    if reason:
        session.say(
            f"{name}: left out {len(blanked) - len(kept):,} of {counted(len(blanked), 'text')}: "
            f"{reason}"
        )
    return kept


def _order(options: InfillingOptions) -> Literal["confidence"] | None:
    return None if options.order == "left" else "confidence"


def _fill(
    session: Session[InfillingOptions], filler: Filler, texts: Sequence[str], name: str
) -> list[FillResult]:
    options = session.options
    results: dict[int, FillResult] = {}
    step = options.batch_size * _FILLED_AT_ONCE
    with counting_bar(name, len(texts)) as advance:
        for indices in length_batches(list(map(len, texts)), step):
            filled = filler.fill(
                [texts[i] for i in indices],
                order=_order(options),
                batch_size=options.batch_size,
            )
            results.update(zip(indices, filled, strict=True))
            advance(len(indices))
    return [results[index] for index in range(len(texts))]


def _scores(
    seed: int, name: str, blanked: Sequence[Blanked], results: Sequence[FillResult]
) -> list[Score]:
    originals = [[sentence.original] for sentence in blanked]
    of_texts = {
        "BLEU": [result.text for result in results],
        "BLEU if left empty": [sentence.without_blanks for sentence in blanked],
    }
    scores = []
    for metric, texts in of_texts.items():
        bleu = score_texts(texts, originals, ["bleu"], with_margin=True).scores["bleu"]
        scores.append(text_row(name, metric, bleu, len(texts)))
    hits = [
        [fill.text == answer for fill, answer in zip(result.blanks, sentence.answers, strict=True)]
        for sentence, result in zip(blanked, results, strict=True)
    ]
    exact = Score(
        task=name,
        metric="exact match a blank",
        value=_share(hits),
        count=sum(map(len, hits)),
        standard_error=bootstrap_error(_share, hits, seed),
    )
    return [*scores, exact]


def _share(hits: Sequence[Sequence[bool]]) -> float:
    """Return the percentage of blanks that are right; a sentence may have several."""
    return 100.0 * sum(map(sum, hits)) / sum(map(len, hits))
