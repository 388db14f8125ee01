"""Scores of written texts against references: BLEU, chrF, ROUGE, METEOR and exact match.

sacrebleu, rouge-score and nltk compute them (extra `eval`); every score comes with a signature that
says how. Values are percentages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib.metadata import version
from itertools import zip_longest
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Literal, get_args

from unblank.metrics.bleu_tokenizers import BleuTokenizer, choose_bleu_tokenizer
from unblank.metrics.packages import require_metric_packages
from unblank.metrics.words import split_words
from unblank.metrics.written_form import written_form
from unblank.plurals import counted
from unblank.unicode import require_texts

if TYPE_CHECKING:
    from nltk.stem.porter import PorterStemmer

__all__ = [
    "TWO_SIDED_95",
    "TextMetric",
    "TextScore",
    "TextScores",
    "score_texts",
]

TextMetric = Literal["bleu", "chrf", "chrf++", "rouge", "meteor", "exact_match"]

_DEFAULT_METRICS: tuple[TextMetric, ...] = ("bleu", "chrf", "rouge")
_NUM_DRAWS = 1000
_ROUGE_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_SHORTEST_STEMMED = 4
"""Length in letters of the shortest word that ROUGE stems."""

TWO_SIDED_95 = 1.96
"""Standard errors on each side of a mean that cover 95 % of a normal distribution."""


@dataclass(frozen=True, slots=True)
class TextScore:
    """One score.

    Attributes:
        value: in percent.
        signature: how it was computed.
        margin: half the width of its 95 % interval, if asked for.
    """

    value: float
    signature: str
    margin: float | None = None

    def __str__(self) -> str:
        margin = "" if self.margin is None else f" +- {self.margin:.2f}"
        return f"{self.value:.2f}{margin}  {self.signature}"


@dataclass(frozen=True, slots=True)
class TextScores:
    """Scores by name, in the order asked for, and why others are missing."""

    scores: dict[str, TextScore]
    missing: dict[str, str]

    @property
    def values(self) -> dict[str, float]:
        """Name -> value in percent."""
        return {name: score.value for name, score in self.scores.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        scores = {
            name: {"value": one.value, "margin": one.margin, "signature": one.signature}
            for name, one in self.scores.items()
        }
        return {"scores": scores, "missing": dict(self.missing)}

    def __str__(self) -> str:
        width = max(map(len, [*self.scores, *self.missing]))
        lines = [f"{name:<{width}}  {score}" for name, score in self.scores.items()]
        lines += [f"{name:<{width}}  not computed: {why}" for name, why in self.missing.items()]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Settings:
    tokenize: BleuTokenizer
    lowercase: bool
    stem: bool
    with_margin: bool


def score_texts(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[TextMetric] = _DEFAULT_METRICS,
    *,
    tokenize: BleuTokenizer = "auto",
    lowercase: bool = False,
    stem: bool = False,
    with_margin: bool = False,
) -> TextScores:
    """Return how near predictions come to their references.

    BLEU and chrF are those of the whole corpus; ROUGE (F1), METEOR and exact match are means over
    texts, each against its best reference. rougeLsum takes every line as a sentence. All compare
    texts in one written form (NFC), so that no score depends on how a letter is encoded.

    Args:
        predictions: one text each.
        references: for each prediction one reference or more.
        metrics: which scores; "rouge" is rouge1, rouge2, rougeL and rougeLsum.
        tokenize: sacreBLEU's tokenizer; auto follows the script of the references.
        lowercase: ignore case in BLEU, chrF and exact match; ROUGE and METEOR always do.
        stem: reduce English words to their stems in ROUGE.
        with_margin: also half the width of a 95 % interval: by resampling the texts for BLEU and
            chrF, from the standard error for means.

    Raises:
        ValueError: nothing to score, numbers that differ, a prediction without reference, or an
            unknown metric or tokenizer, or a text with a lone surrogate.
        TypeError: something that is no text.
        ImportError: a package is not installed.

    Example:
        >>> score_texts(["the cat"], [["the cat", "a cat"]], ["exact_match"]).values
        {'exact_match': 100.0}
    """
    _check(predictions, references, metrics, tokenize)
    require_metric_packages(metrics)
    predictions = [written_form(text) for text in require_texts(predictions, "prediction")]
    references = [
        [written_form(text) for text in require_texts(answers, f"reference of prediction {place}:")]
        for place, answers in enumerate(references)
    ]
    if "bleu" in metrics:
        every = (text for answers in references for text in answers)
        tokenize = choose_bleu_tokenizer(tokenize, every)
    settings = _Settings(tokenize, lowercase, stem, with_margin)
    scores: dict[str, TextScore] = {}
    missing: dict[str, str] = {}
    for name in metrics:
        try:
            scores |= _METRICS[name](predictions, references, settings)
        except _MissingData as reason:
            missing[name] = str(reason)
    return TextScores(scores, missing)


class _MissingData(Exception):
    """A score needs data that is not on this machine."""


def _bleu(
    predictions: Sequence[str], references: Sequence[Sequence[str]], settings: _Settings
) -> dict[str, TextScore]:
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize=settings.tokenize, lowercase=settings.lowercase)
    return {
        "bleu": _corpus_score(metric, predictions, references, with_margin=settings.with_margin)
    }


def _chrf(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    settings: _Settings,
    name: str = "chrf",
    word_order: int = 0,
) -> dict[str, TextScore]:
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF(lowercase=settings.lowercase, word_order=word_order)
    return {name: _corpus_score(metric, predictions, references, with_margin=settings.with_margin)}


def _corpus_score(
    metric: Any,
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    with_margin: bool,
) -> TextScore:
    streams = [list(stream) for stream in zip_longest(*references)]
    score = metric.corpus_score(list(predictions), streams)
    margin = _margin_by_drawing(metric, predictions, streams) if with_margin else None
    return TextScore(float(score.score), str(metric.get_signature()), margin)


def _margin_by_drawing(
    metric: Any, predictions: Sequence[str], streams: Sequence[Sequence[str | None]]
) -> float:
    """Return half the width of the middle 95 % of the scores of resampled texts, with a seed.

    sacrebleu's own drawing stops with an error where some draws score 0.
    """
    import numpy as np

    counts = np.array(metric._extract_corpus_statistics(list(predictions), streams), dtype=float)
    rng = np.random.default_rng(0)
    values = [
        metric._compute_score_from_stats(
            counts[rng.integers(0, len(counts), len(counts))].sum(axis=0).tolist()
        ).score
        for _ in range(_NUM_DRAWS)
    ]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(high - low) / 2


def _rouge(
    predictions: Sequence[str], references: Sequence[Sequence[str]], settings: _Settings
) -> dict[str, TextScore]:
    from nltk.stem.porter import PorterStemmer
    from rouge_score.rouge_scorer import RougeScorer

    words = _RougeWords(PorterStemmer() if settings.stem else None)
    scorer = RougeScorer(_ROUGE_KINDS, tokenizer=words)
    values: dict[str, list[float]] = {kind: [] for kind in _ROUGE_KINDS}
    for prediction, answers in zip(predictions, references, strict=True):
        for kind, score in scorer.score_multi(list(answers), prediction).items():
            values[kind].append(100.0 * score.fmeasure)
    stem = "porter" if settings.stem else "no"
    signature = (
        f"{_num_references(references)}|best:f1|case:lc|tok:unicode-words|stem:{stem}|"
        f"version:{version('rouge-score')}"
    )
    signatures = dict.fromkeys(values, signature)
    signatures["rougeLsum"] = f"{signature}|sentences:lines"
    return {
        kind: _mean_score(values[kind], signatures[kind], with_margin=settings.with_margin)
        for kind in values
    }


class _RougeWords:
    """The words of a text, by the name that rouge-score calls."""

    def __init__(self, stemmer: "PorterStemmer | None") -> None:
        self._stemmer = stemmer

    def tokenize(self, text: str) -> list[str]:
        words = split_words(text)
        if self._stemmer is None:
            return words
        return [
            self._stemmer.stem(word) if len(word) >= _SHORTEST_STEMMED and word.isascii() else word
            for word in words
        ]


def _meteor(
    predictions: Sequence[str], references: Sequence[Sequence[str]], settings: _Settings
) -> dict[str, TextScore]:
    from nltk.corpus import wordnet
    from nltk.translate.meteor_score import meteor_score

    try:
        wordnet.ensure_loaded()
    except LookupError as error:
        raise _MissingData(
            "METEOR needs WordNet, which nltk does not find: "
            "python -m nltk.downloader wordnet omw-1.4"
        ) from error
    values = [
        100.0 * meteor_score([split_words(answer) for answer in answers], split_words(prediction))
        for prediction, answers in zip(predictions, references, strict=True)
    ]
    signature = (
        f"{_num_references(references)}|best:score|case:lc|tok:unicode-words|"
        f"version:nltk-{version('nltk')}"
    )
    return {"meteor": _mean_score(values, signature, with_margin=settings.with_margin)}


def _exact_match(
    predictions: Sequence[str], references: Sequence[Sequence[str]], settings: _Settings
) -> dict[str, TextScore]:
    def plain(text: str) -> str:
        return text.strip().lower() if settings.lowercase else text.strip()

    values = [
        100.0 * (plain(prediction) in map(plain, answers))
        for prediction, answers in zip(predictions, references, strict=True)
    ]
    case = "lc" if settings.lowercase else "mixed"
    signature = f"{_num_references(references)}|case:{case}|space:stripped"
    return {"exact_match": _mean_score(values, signature, with_margin=settings.with_margin)}


def _mean_score(values: Sequence[float], signature: str, *, with_margin: bool) -> TextScore:
    margin = None
    if with_margin and len(values) > 1:
        margin = TWO_SIDED_95 * stdev(values) / len(values) ** 0.5
    return TextScore(fmean(values), signature, margin)


def _num_references(references: Sequence[Sequence[str]]) -> str:
    numbers = {len(answers) for answers in references}
    return f"nrefs:{numbers.pop() if len(numbers) == 1 else 'var'}"


def _check(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    tokenize: str,
) -> None:
    if not predictions or len(predictions) != len(references):
        raise ValueError(
            f"{counted(len(predictions), 'prediction')} and "
            f"{counted(len(references), 'list')} of references: there must be as many of one as of "
            "the other, and at least one"
        )
    for number, answers in enumerate(references):
        if isinstance(answers, str) or not answers:
            raise ValueError(
                f"prediction {number} has the references {answers!r}: give a list of texts, at "
                "least one"
            )
    for name in metrics:
        if name not in _METRICS:
            near = get_close_matches(name, _METRICS) or list(_METRICS)
            raise ValueError(f"unknown metric {name!r}: did you mean {', '.join(near)}?")
    if tokenize not in get_args(BleuTokenizer):
        raise ValueError(
            f"unknown tokenizer {tokenize!r}: choose one of {', '.join(get_args(BleuTokenizer))}"
        )


_Metric = Callable[[Sequence[str], Sequence[Sequence[str]], _Settings], dict[str, TextScore]]

_METRICS: dict[str, _Metric] = {
    "bleu": _bleu,
    "chrf": _chrf,
    # Popovic 2017: n-grams of up to six letters and of up to two words.
    "chrf++": partial(_chrf, name="chrf++", word_order=2),
    "rouge": _rouge,
    "meteor": _meteor,
    "exact_match": _exact_match,
}
