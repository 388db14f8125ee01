"""Small corpora and an objective with known behaviour, for the tests of the data stream."""

from collections.abc import Sequence

import numpy as np

from unblank.data.sampling import Sampler, SamplingSettings
from unblank.examples import IGNORE_INDEX, Example, IntArray
from unblank.tokenization.special import SpecialIds

SPECIAL = SpecialIds(
    pad=0, eos=0, cls=1, sep=2, unk=3, mask=4, smask=5, gmask=6, sop=7, eop=8, dblock=9
)
FIRST_WORD = 16


class CountingCorpus:
    """Documents whose tokens tell where they come from: document * stride + place + 16."""

    def __init__(self, lengths: Sequence[int], stride: int = 100_000) -> None:
        self.lengths = list(lengths)
        self.stride = stride

    def __len__(self) -> int:
        return len(self.lengths)

    def document_length(self, index: int) -> int:
        return self.lengths[index]

    def tokens(self, index: int, start: int, stop: int) -> IntArray:
        assert 0 <= start <= stop <= self.lengths[index]
        return np.arange(start, stop, dtype=np.int64) + index * self.stride + FIRST_WORD


def doubling_objective(ids: IntArray, rng: np.random.Generator) -> Example:
    """Blank about every tenth token: each blank costs two positions more."""
    maskable = np.arange(1, len(ids))
    blanks = np.sort(maskable[rng.random(len(maskable)) < 0.1])
    part_a = ids.copy()
    part_a[blanks] = SPECIAL.mask
    part_b = np.stack([np.full(len(blanks), SPECIAL.sop), ids[blanks]], axis=1).ravel()
    targets = np.stack([ids[blanks], np.full(len(blanks), SPECIAL.eop)], axis=1).ravel()
    first_row = np.concatenate([np.arange(len(ids)), np.repeat(blanks, 2)])
    second_row = np.concatenate([np.zeros(len(ids), int), np.tile([1, 2], len(blanks))])
    return Example(
        input_ids=np.concatenate([part_a, part_b]),
        position_ids=np.stack([first_row, second_row]),
        labels=np.concatenate([np.full(len(ids), IGNORE_INDEX), targets]),
        prefix_length=len(ids),
        objective="double",
    )


def plain_objective(ids: IntArray, rng: np.random.Generator) -> Example:
    """Leave the text as it is."""
    return Example(
        input_ids=ids,
        position_ids=np.stack([np.arange(len(ids)), np.zeros(len(ids), int)]),
        labels=np.full(len(ids), IGNORE_INDEX),
        prefix_length=len(ids),
        objective="plain",
    )


def make_sampler(
    *lengths: Sequence[int], objective=doubling_objective, max_length: int = 64, **settings
) -> Sampler:
    """A sampler over one CountingCorpus for each list of lengths."""
    corpora = [CountingCorpus(source) for source in lengths]
    return Sampler(corpora, objective, SPECIAL, SamplingSettings(max_length=max_length, **settings))


def assert_same_rows(ours, theirs) -> None:
    """Two lists of rows hold the same numbers."""
    assert len(ours) == len(theirs)
    for row, other in zip(ours, theirs, strict=True):
        assert row.sample_numbers == other.sample_numbers
        assert row.objectives == other.objectives
        for name in ("input_ids", "position_ids", "labels", "segment_ids", "is_prefix"):
            np.testing.assert_array_equal(getattr(row, name), getattr(other, name))
