"""The sampler and the data pipeline in the race: ours, and T5's span corruption in numpy.

transformers ships no T5 collator; users take the one of its Flax example. The method (paper of T5,
section 3.1.4) is written again here: segments of random lengths, sentinels in both halves.
"""

import numpy as np
from numpy.typing import NDArray

from unblank.bench.sizes import SIZES
from unblank.bench.worker import Workload
from unblank.data.collate import collate_rows
from unblank.data.loader import RowStream
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.examples import Example, IntArray
from unblank.objectives.context import ObjectiveContext
from unblank.objectives.drawing import Mixture
from unblank.objectives.mixture import build_objective
from unblank.objectives.settings import ObjectiveSettings
from unblank.tokenization.special import SpecialIds

__all__ = [
    "FIRST_WORD",
    "SPECIAL",
]

SPECIAL = SpecialIds(
    pad=0, eos=0, cls=1, sep=2, unk=3, mask=4, smask=5, gmask=6, sop=7, eop=8, dblock=9
)
FIRST_WORD = 16
_MASK_RATIO = 0.15
_MEAN_SPAN = 3.0


class SyntheticCorpus:
    """Documents of random tokens in one array, as prepared shards hold them.

    Args:
        num_documents: how many.
        mean_length: tokens of an average document (log-normal, as chapters and articles are).
        vocabulary: ids are below it.
    """

    def __init__(self, num_documents: int, mean_length: int, vocabulary: int) -> None:
        rng = np.random.default_rng(0)
        lengths = rng.lognormal(np.log(mean_length) - 0.5, 1.0, num_documents).astype(int) + 2
        self._ends = np.cumsum(lengths)
        self._ids = rng.integers(FIRST_WORD, vocabulary, self._ends[-1], dtype=np.uint16)

    def __len__(self) -> int:
        return len(self._ends)

    def document_length(self, index: int) -> int:
        """Return the tokens of a document."""
        return int(self._ends[index] - (self._ends[index - 1] if index else 0))

    def tokens(self, index: int, start: int, stop: int) -> IntArray:
        """Return int64[stop - start], tokens `start` to `stop` of a document."""
        begin = int(self._ends[index - 1]) if index else 0
        ids: IntArray = self._ids[begin + start : begin + stop].astype(np.int64)
        return ids


def token_span_corruption(length: int, samples: int) -> Workload:
    """Return our token spans with both position rows and labels; unit: samples."""
    text = np.random.default_rng(0).integers(FIRST_WORD, 30000, length)
    text[0] = SPECIAL.cls
    objective = _token_spans(30000, 2 * length)

    def step() -> float:
        for number in range(samples):
            objective(text, np.random.default_rng((0, number)))
        return samples

    return step


def t5_corruption(length: int, samples: int) -> Workload:
    """Return T5's corruption of the same text: input ids and labels; unit: samples."""
    text = np.random.default_rng(0).integers(FIRST_WORD, 30000, length)

    def step() -> float:
        for number in range(samples):
            t5_span_corruption(text, np.random.default_rng((0, number)), first_sentinel=32099)
        return samples

    return step


def data_pipeline(size: str, rows: int) -> Workload:
    """Return corruption, packing and collation as training runs them; unit: rows."""
    shape = SIZES[size]
    corpus = SyntheticCorpus(2000, mean_length=2000, vocabulary=shape.vocabulary)
    sampler = Sampler(
        [corpus],
        _token_spans(shape.vocabulary, shape.row_length),
        SPECIAL,
        SamplingSettings(max_length=shape.row_length),
    )
    stream = RowStream(sampler, row_length=shape.row_length)

    def step() -> float:
        for _ in range(rows // shape.batch):
            collate_rows([next(stream) for _ in range(shape.batch)], SPECIAL.pad)
        return rows // shape.batch * shape.batch

    return step


def t5_span_corruption(
    text: IntArray, rng: np.random.Generator, first_sentinel: int
) -> tuple[IntArray, IntArray]:
    """Return encoder ids and labels of a text, each with its end (id 1).

    Args:
        text: int64[N].
        rng: source of randomness.
        first_sentinel: id of the first sentinel; the following ones count down.
    """
    is_noise = _noise_mask(len(text), rng)
    return (
        _with_sentinels(text, is_noise, first_sentinel),
        _with_sentinels(text, ~is_noise, first_sentinel),
    )


def _noise_mask(length: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    num_noise = max(1, round(length * _MASK_RATIO))
    num_spans = max(1, round(num_noise / _MEAN_SPAN))
    lengths = np.stack(
        [
            _random_parts(length - num_noise, num_spans, rng),
            _random_parts(num_noise, num_spans, rng),
        ]
    )
    return np.repeat(np.tile([False, True], num_spans), lengths.T.ravel())


def _random_parts(total: int, count: int, rng: np.random.Generator) -> IntArray:
    """Divide `total` into `count` parts of at least 1, all divisions equally likely."""
    cuts = np.sort(rng.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def _with_sentinels(text: IntArray, is_hidden: NDArray[np.bool_], first_sentinel: int) -> IntArray:
    """Put one sentinel for every run of hidden tokens, and the end."""
    is_start = is_hidden.copy()
    is_start[1:] &= ~is_hidden[:-1]
    marked = np.where(is_start, first_sentinel + 1 - np.cumsum(is_start), text)
    return np.append(marked[~is_hidden | is_start], 1)


def _token_spans(vocabulary: int, max_length: int) -> Mixture[ObjectiveContext, Example]:
    sentence_end = np.zeros(vocabulary, dtype=np.uint8)
    return build_objective(ObjectiveSettings(), SPECIAL, sentence_end, max_length)
