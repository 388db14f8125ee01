"""Minimal pairs (BLiMP and like it): is the acceptable sentence the likelier one?

A tie counts half, so that a model that finds all sentences alike gets 50 %. Beside each accuracy
stands that of token frequencies alone.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from pathlib import Path
from statistics import fmean
from typing import Any

from unblank.data.files import find_files
from unblank.evaluation.options import PairsOptions, SentenceScoring
from unblank.evaluation.pair_files import MinimalPair, read_pairs
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.sentence_layouts import Sentence
from unblank.evaluation.sentence_scores import SentenceScorer, choose_scorings, encode_sentences
from unblank.evaluation.session import Session
from unblank.evaluation.suites import PairSet
from unblank.evaluation.token_frequencies import TokenFrequencies, find_frequencies
from unblank.metrics.spread import mean_and_error, mean_error
from unblank.plurals import counted
from unblank.progress_bars import counting_bar

__all__ = ["ACCURACY", "BASELINE", "run_minimal_pairs"]

ACCURACY, BASELINE = "accuracy", "by token frequency"

_ROUNDING = 1e-6
"""Scores that differ by less than this share of themselves are equal: fp32 says no more."""
_NAMED = 5
"""Pairs that are named one by one."""


def run_minimal_pairs(
    session: Session[PairsOptions], sets: Mapping[str, PairSet]
) -> Iterator[SuiteResult]:
    """Yield the accuracies on each set, for each way to score a sentence.

    Raises:
        ValueError: a file, a pair or a scoring that does not fit; the message names it.
        FileNotFoundError: data that is not there.
    """
    scorings = choose_scorings(session, session.options.by)
    frequencies = find_frequencies(session)
    for name, part, files in _parts(session, sets):
        pairs, sentences = _encode(session, read_pairs(part, files, session.options.limit))
        _tell_equal(session, name, pairs, sentences)
        for scoring in scorings:
            yield _measure(session, name, scoring, pairs, sentences, frequencies)


def _parts(
    session: Session[PairsOptions], sets: Mapping[str, PairSet]
) -> Iterator[tuple[str, PairSet, Sequence[Path]]]:
    options = session.options
    own = options.file
    if not own and options.data is not None and options.data.is_file():
        options.require_no_data_sets("data")
        own = (str(options.data),)
    if own:
        files = find_files(own)
        yield "own files", next(iter(sets.values())), files
        return
    for name, found in session.files({name: part.files for name, part in sets.items()}):
        yield name, sets[name], found


def _encode(
    session: Session[PairsOptions], pairs: Sequence[MinimalPair]
) -> tuple[list[MinimalPair], list[Sentence]]:
    """Return the pairs that the model can read, and the sentences of each, good and bad in turn."""
    texts = [text for pair in pairs for text in (pair.good, pair.bad)]
    encoded = encode_sentences(session, texts, [pair.place for pair in pairs for _ in range(2)])
    kept: list[MinimalPair] = []
    sentences: list[Sentence] = []
    for pair, good, bad in zip(pairs, encoded[::2], encoded[1::2], strict=True):
        if good is not None and bad is not None:
            kept.append(pair)
            sentences += (good, bad)
    if not kept:
        raise ValueError("in every pair a sentence is too long for the model")
    if len(kept) < len(pairs):
        session.say(
            f"left out {counted(len(pairs) - len(kept), 'pair')} of {len(pairs)}: too long for the "
            "model"
        )
    return kept, sentences


def _tell_equal(
    session: Session[PairsOptions],
    name: str,
    pairs: Sequence[MinimalPair],
    sentences: Sequence[Sentence],
) -> None:
    """Say which pairs are one sentence twice, in the file or only in this vocabulary."""
    written, read = [], []
    for pair, good, bad in zip(pairs, sentences[::2], sentences[1::2], strict=True):
        if pair.is_equal:
            written.append(pair.place)
        elif good.token_ids.tolist() == bad.token_ids.tolist():
            read.append(pair.place)
    for places, what in ((written, ""), (read, " to this vocabulary")):
        if places:
            more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
            session.say(
                f"{name}: both sentences are the same{what}, which counts half: "
                f"{'; '.join(places[:_NAMED])}{more}"
            )


def _measure(
    session: Session[PairsOptions],
    name: str,
    scoring: SentenceScoring,
    pairs: Sequence[MinimalPair],
    sentences: Sequence[Sentence],
    frequencies: TokenFrequencies | None,
) -> SuiteResult:
    started = time.perf_counter()
    scorer = SentenceScorer.of(session, scoring)
    with counting_bar(f"{name} ({scoring})", len(sentences)) as advance:
        found = scorer(sentences, advance)
    points = {ACCURACY: _points(found)}
    if frequencies is not None:
        points[BASELINE] = _points([frequencies.score(sentence) for sentence in sentences])
    seconds = time.perf_counter() - started
    rows = [
        _row(f"{title} ({scoring})", metric, [(pairs[i], values[i]) for i in ids], scoring, seconds)
        for title, ids in _groups(name, pairs).items()
        for metric, values in points.items()
    ]
    lines: list[dict[str, Any]] = [
        {
            "task": f"{pair.group or name} ({scoring})",
            "place": pair.place,
            "paradigm": pair.paradigm,
            "good": pair.good,
            "bad": pair.bad,
            "scores": [good, bad],
            "points": point / 100,
        }
        for pair, good, bad, point in zip(
            pairs, found[::2], found[1::2], points[ACCURACY], strict=True
        )
    ]
    return SuiteResult(rows, lines)


def _points(scores: Sequence[float]) -> list[float]:
    """Return 100 for each pair whose first score is higher, 50 for a tie, else 0."""
    return [
        50.0 if isclose(good, bad, rel_tol=_ROUNDING) else 100.0 * (good > bad)
        for good, bad in zip(scores[::2], scores[1::2], strict=True)
    ]


def _groups(name: str, pairs: Sequence[MinimalPair]) -> dict[str, list[int]]:
    """Return the pairs of each group by its name, and at last all of them by that of the set."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        if pair.group:
            groups[pair.group].append(number)
    return {**groups, name: list(range(len(pairs)))}


def _row(
    task: str,
    metric: str,
    judged: Sequence[tuple[MinimalPair, float]],
    scoring: SentenceScoring,
    seconds: float,
) -> Score:
    """Return the mean over paradigms of the mean over pairs."""
    paradigms: dict[tuple[str, str], list[float]] = defaultdict(list)
    for pair, points in judged:
        paradigms[pair.group, pair.paradigm].append(points)
    value, error = mean_and_error([(fmean(one), mean_error(one)) for one in paradigms.values()])
    return Score(
        task=task,
        metric=metric,
        value=value,
        count=len(judged),
        standard_error=error,
        seconds=seconds,
        details={
            "way": scoring,
            "ties": sum(points == 50 for _, points in judged),
            "paradigms": {name or group: fmean(p) for (group, name), p in paradigms.items()},
        },
    )
