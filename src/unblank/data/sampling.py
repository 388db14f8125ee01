"""Sample number -> corrupted example: a pure function of the seed and the number.

A document is cut into chunks that fit a row; a sample is one chunk of one document, found from its
number by arithmetic (source, epoch, shuffled chunk), so that any sample can be made at any time by
any worker. Text of a sample: `[CLS]`, a window of the document, and the end-of-document token if
the window reaches it. How samples share rows is in `packing`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Protocol, runtime_checkable

import numpy as np
from typing_extensions import TypeVar

from unblank.data.mixing import SourceSchedule, TemperatureSchedule
from unblank.data.permutation import mix, permuted, uniform
from unblank.examples import AnyExample, Example, IntArray
from unblank.settings.ranges import Positive, Probability, Seed, TextLength, check_values, minimum
from unblank.tokenization.special import SpecialIds

__all__ = ["MINIMUM_TOKENS", "Corpus", "Objective", "Sampler", "SamplingSettings"]

MINIMUM_TOKENS = 2
"""A document with fewer tokens is skipped (and counted): a single token has no context."""

# With fewer positions, spans and their markers leave hardly any text.
_SHORTEST_MAX_LENGTH = 32
# How often a text is corrupted until it fits; the second half of the attempts halve it.
_PROBES = 12

ExampleT = TypeVar("ExampleT", bound=AnyExample, default=Example)

Objective = Callable[[IntArray, np.random.Generator], ExampleT]
"""Text ids and a generator -> the corrupted example."""


class Corpus(Protocol):
    """Tokenized documents of one source, read by index."""

    def __len__(self) -> int:
        """Return the number of documents."""
        ...

    def document_length(self, index: int, /) -> int:
        """Return the tokens of a document."""
        ...

    def tokens(self, index: int, start: int, stop: int, /) -> IntArray:
        """Return int64[stop - start], tokens `start` to `stop` of a document."""
        ...


@runtime_checkable
class _TellsLengths(Protocol):
    """A corpus that tells all its lengths faster than one by one."""

    def lengths_in_pieces(self) -> Iterator[IntArray]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """How samples are drawn from the corpora."""

    max_length: TextLength[Annotated[int, minimum(_SHORTEST_MAX_LENGTH)]] = 512
    """Positions that an example may take, Part A and Part B together."""
    seed: Seed[int] = 0
    """Seed for everything random in the data."""
    weights: Positive[tuple[float, ...] | None] = None
    """Shares of the sources; default: by size."""
    alpha: Probability[float | None] = None
    """Shares of the tokens proportional to tokens ** alpha."""
    temperature: TemperatureSchedule | None = None
    """Shares of the tokens proportional to tokens ** (1 / temperature), by epoch."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sample comes from.

    Attributes:
        source: index of the corpus.
        epoch: how many times that corpus was passed over before.
        document: index of the document in the corpus.
        part: which of the document's `num_parts` equal parts the window is centred in.
        num_parts: chunks of the document.
    """

    source: int
    epoch: int
    document: int
    part: int
    num_parts: int


class Sampler(Generic[ExampleT]):
    """Draws examples by number from one or several corpora.

    A document of n tokens and its end token are ceil((n + 1) / (max_length - 1)) chunks. The
    window of a chunk is centred at a random place in the chunk's own part of the document and
    moved inside the document where it sticks out; a pass over the corpus so covers long documents
    evenly, with beginnings and ends among the windows. The window is as long as the corrupted
    example allows.

    Args:
        corpora: the sources, each random access by document.
        objective: corrupts a text; one for all corpora, or one for each.
        special: ids of `[CLS]` and of the end of a document.
        settings: lengths, seed and mixture.

    Attributes:
        num_chunks: samples in one pass over all corpora (an epoch).
        num_skipped: documents shorter than `MINIMUM_TOKENS`.
        mean_text_length: tokens of an average chunk, `[CLS]` included.

    Raises:
        ValueError: if a corpus holds no document that is long enough, the mixture is impossible, or
            there is another number of objectives than of corpora.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        objective: Objective[ExampleT] | Sequence[Objective[ExampleT]],
        special: SpecialIds,
        settings: SamplingSettings,
    ) -> None:
        self.settings = settings
        self.special = special
        self._corpora = corpora
        self._objectives = [objective] * len(corpora) if callable(objective) else [*objective]
        if len(self._objectives) != len(corpora):
            raise ValueError(f"{len(self._objectives)} objectives for {len(corpora)} corpora")
        measured = [_measure(corpus, settings.max_length - 1) for corpus in corpora]
        self._chunk_ends = [one.chunk_ends for one in measured]
        sizes = [one.num_chunks for one in measured]
        for source, size in enumerate(sizes):
            if size == 0:
                raise ValueError(
                    f"source {source} has no document of at least {MINIMUM_TOKENS} tokens "
                    f"({len(corpora[source])} documents in all): check its path and text field"
                )
        self._schedule = SourceSchedule(
            sizes,
            seed=settings.seed,
            weights=settings.weights,
            alpha=settings.alpha,
            temperature=settings.temperature,
            sample_tokens=[one.num_sampled / one.num_chunks for one in measured],
        )
        self.num_chunks = sum(sizes)
        self.num_skipped = sum(one.num_skipped for one in measured)
        num_ids = sum(one.num_ids for one in measured) + self.num_chunks
        self.mean_text_length = num_ids / self.num_chunks

    def locate(self, number: int) -> Place:
        """Return where sample `number` (from 0, without end) comes from."""
        source, index = self._schedule.locate(number)
        ends = self._chunk_ends[source]
        size = int(ends[-1])
        epoch, position = divmod(index, size)
        # Another order in every epoch.
        chunk = permuted(position, size, mix(self.settings.seed, source, epoch))
        document = int(np.searchsorted(ends, chunk, side="right"))
        begin = int(ends[document - 1]) if document else 0
        return Place(source, epoch, document, chunk - begin, int(ends[document]) - begin)

    def source_counts(self, num_samples: int) -> list[tuple[int, float]]:
        """Return for each source its samples among the first ones, and its passes by then."""
        counts = self._schedule.count_before(num_samples).tolist()
        pairs = zip(counts, self._chunk_ends, strict=True)
        return [(count, count / int(ends[-1])) for count, ends in pairs]

    def text_ids(self, number: int) -> IntArray:
        """Return the uncorrupted text of sample `number` at its full length, int64[<= max_length].

        The text of the example may be shorter, as corruption adds positions.
        """
        window = self._window(number, self.locate(number))
        return window.text(window.longest)

    def draw_example(self, number: int) -> ExampleT:
        """Return sample `number`, at most `max_length` positions.

        The text is shortened by what the example exceeds, and corrupted again from the same seed,
        until it fits; then lengthened while there is room.

        Raises:
            ValueError: if the objective's examples exceed `max_length` however short the text.
        """
        place = self.locate(number)
        window, objective = self._window(number, place), self._objectives[place.source]
        most = self.settings.max_length
        length, too_long = window.longest, window.longest + 1
        best: ExampleT | None = None
        for probe in range(_PROBES):
            # The same draws at every length: an example depends on its number, not on the attempts.
            rng = np.random.default_rng((self.settings.seed, number))
            example = objective(window.text(length), rng)
            room = most - len(example)
            if room < 0:
                if best is not None:
                    return best
                too_long = length
                # Halving ends the search where shortening by the excess does not.
                length = max(1, length + room if probe < _PROBES // 2 else length // 2)
                continue
            best = example
            # Less than one percent of the row is not worth another corruption.
            if length + 1 >= too_long or room * 100 < most:
                return best
            # Half the room, as corruption adds positions, too.
            length = min(length + (room + 1) // 2, too_long - 1)
        if best is None:
            raise ValueError(
                f"the objective makes examples longer than max_length ({most}) even from short "
                f"texts (sample {number}): raise max_length or mask less"
            )
        return best

    def _window(self, number: int, place: Place) -> "_Window":
        corpus = self._corpora[place.source]
        num_tokens = corpus.document_length(place.document)
        longest = min(self.settings.max_length - 1, num_tokens + 1)
        jitter = uniform(self.settings.seed, number)
        centre = (place.part + jitter) * (num_tokens + 1) / place.num_parts
        start = _window_start(centre, longest, num_tokens + 1)
        ids = np.empty(longest + 1, dtype=np.int64)
        tokens = corpus.tokens(place.document, start, min(start + longest, num_tokens))
        ids[1 : 1 + len(tokens)] = tokens
        ids[1 + len(tokens) :] = self.special.eos
        return _Window(ids, start, centre, longest, num_tokens + 1, self.special.cls)


@dataclass(slots=True)
class _Window:
    """The longest window of a sample, from which the shorter ones are cut."""

    ids: IntArray  # int64[1 + longest]; place 0 is free for [CLS]
    start: int
    centre: float
    longest: int
    document_length: int
    cls: int

    def text(self, length: int) -> IntArray:
        """Return int64[1 + length], `[CLS]` and the window of `length` tokens."""
        offset = _window_start(self.centre, length, self.document_length) - self.start
        # A copy: [CLS] takes the place of a token that a longer window needs.
        text = self.ids[offset : offset + length + 1].copy()
        text[0] = self.cls
        return text


def _window_start(centre: float, length: int, document_length: int) -> int:
    """Place a window around `centre`, inside the document: shorter windows lie inside longer."""
    return min(max(int(centre - length / 2), 0), document_length - length)


_LENGTHS_AT_ONCE = 2**20


@dataclass(slots=True)
class _Measured:
    """What the lengths of a corpus come to; of all documents only `chunk_ends` is kept.

    Attributes:
        chunk_ends: int64[documents], the running count of chunks.
        num_chunks: of all documents.
        num_skipped: documents shorter than `MINIMUM_TOKENS`.
        num_ids: tokens of the other documents, with an end each.
        num_sampled: tokens of a sample of each chunk, summed; long documents give several.
    """

    chunk_ends: IntArray
    num_chunks: int = 0
    num_skipped: int = 0
    num_ids: int = 0
    num_sampled: int = 0


def _measure(corpus: Corpus, chunk_length: int) -> _Measured:
    measured = _Measured(np.empty(len(corpus), np.int64))
    done = 0
    for lengths in _lengths_in_pieces(corpus):
        is_used = lengths >= MINIMUM_TOKENS
        # The end token counts as one token.
        counts = np.where(is_used, -(-(lengths + 1) // chunk_length), 0)
        measured.chunk_ends[done : done + len(lengths)] = measured.num_chunks + np.cumsum(counts)
        done += len(lengths)
        measured.num_chunks += int(counts.sum())
        measured.num_skipped += int((~is_used).sum())
        measured.num_ids += int(lengths[is_used].sum() + is_used.sum())
        measured.num_sampled += int((counts * np.minimum(lengths, chunk_length)).sum())
    return measured


def _lengths_in_pieces(corpus: Corpus) -> Iterator[IntArray]:
    if isinstance(corpus, _TellsLengths):
        yield from corpus.lengths_in_pieces()
        return
    for start in range(0, len(corpus), _LENGTHS_AT_ONCE):
        numbers = range(start, min(start + _LENGTHS_AT_ONCE, len(corpus)))
        yield np.fromiter(map(corpus.document_length, numbers), np.int64, len(numbers))
