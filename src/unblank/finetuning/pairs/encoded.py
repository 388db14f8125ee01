"""Pairs of texts as token ids, and the examples drawn from them by number.

What is too long is cut, skipped or refused here, and counted. An example is a function of the seed
and its number, as in pretraining, so that a run resumes exactly.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unblank.data.mixing import SourceSchedule
from unblank.data.permutation import mix, permuted
from unblank.data.sampling import SamplingSettings
from unblank.examples import AnyExample, IntArray
from unblank.tokenization.special import SpecialIds

__all__ = ["EncodedPairs", "PairSampler", "TokenTable"]

MakeExample = Callable[[IntArray, IntArray], AnyExample]
"""(source as the model reads it, target alone) -> example."""


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Texts of any lengths, one after the other.

    Attributes:
        ids: int32, all tokens.
        ends: int64[texts], where each text ends in `ids`.
    """

    ids: NDArray[np.int32]
    ends: IntArray

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> "TokenTable":
        """Return the table of some texts."""
        lengths = [len(text) for text in texts]
        flat = np.fromiter((i for text in texts for i in text), np.int32, sum(lengths))
        return cls(flat, np.cumsum(lengths, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> IntArray:
        start = int(self.ends[index - 1]) if index else 0
        return self.ids[start : int(self.ends[index])].astype(np.int64)

    @property
    def lengths(self) -> IntArray:
        """Tokens of each text, int64."""
        return np.diff(self.ends, prepend=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPairs:
    """The pairs of one entry of the data.

    Attributes:
        sources: what the model reads, special tokens included, one a pair.
        targets: what it writes, alone, one a reference.
        owners: int64[targets], which source each target belongs to.
        texts: the text of each source.
        references: the texts of the references of each source.
        places: file and line of each source.
        num_cut_sources: sources that were too long.
        num_cut_targets: targets that were too long.
        num_skipped: pairs left out because a side was too long.
        is_filled: whether a target holds the answers of all blanks of its source, and a reference
            the whole text.
    """

    sources: TokenTable
    targets: TokenTable
    owners: IntArray
    texts: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    num_cut_sources: int
    num_cut_targets: int
    num_skipped: int
    is_filled: bool = False

    def __len__(self) -> int:
        """Return the number of examples: references, not sources."""
        return len(self.targets)

    @property
    def content(self) -> str:
        """Hash of all that training uses of these pairs."""
        digest = hashlib.sha256()
        for table in (self.sources, self.targets):
            digest.update(table.ids.tobytes())
            digest.update(table.ends.tobytes())
        digest.update(self.owners.tobytes())
        return digest.hexdigest()

    @property
    def sides(self) -> list[tuple[int, int]]:
        """(source tokens, target tokens with the end) of each example."""
        source_lengths = self.sources.lengths[self.owners]
        return list(zip(source_lengths.tolist(), (self.targets.lengths + 1).tolist(), strict=True))


class PairSampler:
    """Draws examples by number from one or several entries, each in a new order every epoch.

    Args:
        entries: the data.
        make: lays an example out.
        special: ids of the tokenizer.
        settings: seed and mixture; `max_length` is not used.

    Attributes:
        num_chunks: examples of an epoch.
        mean_text_length: positions of an average example, source and target together.
    """

    def __init__(
        self,
        entries: Sequence[EncodedPairs],
        make: MakeExample,
        special: SpecialIds,
        settings: SamplingSettings,
    ) -> None:
        self.settings = settings
        self.special = special
        self._entries = entries
        self._make = make
        self.num_chunks = sum(map(len, entries))
        num_positions = [sum(map(sum, entry.sides)) for entry in entries]
        self.mean_text_length = sum(num_positions) / self.num_chunks
        self._schedule = SourceSchedule(
            [len(entry) for entry in entries],
            seed=settings.seed,
            weights=settings.weights,
            alpha=settings.alpha,
            temperature=settings.temperature,
            sample_tokens=[
                positions / len(entry)
                for positions, entry in zip(num_positions, entries, strict=True)
            ],
        )

    def locate(self, number: int) -> tuple[int, int]:
        """Return the entry that example `number` (from 0, without end) is from, and its place."""
        source, index = self._schedule.locate(number)
        epoch, position = divmod(index, len(self._entries[source]))
        key = mix(self.settings.seed, source, epoch)
        return source, permuted(position, len(self._entries[source]), key)

    def draw_example(self, number: int) -> AnyExample:
        """Return example `number`."""
        source, index = self.locate(number)
        entry = self._entries[source]
        return self._make(entry.sources[int(entry.owners[index])], entry.targets[index])
