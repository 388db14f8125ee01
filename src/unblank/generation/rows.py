"""Rows that grow token by token from encoded texts: positions, padding and cache of one batch.

Chunks are padded on the left and the padding is never seen, so a row's numbers do not depend on
what else is in the batch. Rows may join a batch that is under way, and leave it.

Shapes: `R` rows, `T` new columns, `V` vocabulary.
"""

from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from unblank.generation.cache import RowCache
from unblank.models.products import fast_fp32_products
from unblank.rules.constraint import AnswerConstraint, RuleProgress

__all__ = [
    "Chunk",
    "Prompt",
    "Rows",
    "RowsMaker",
    "num_padded",
    "padded",
]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with blanks, as the model sees it.

    Attributes:
        token_ids: Part A: [CLS], the text with one token a blank, usually an end; or the source of
            an encoder-decoder.
        blanks: positions of the blanks in Part A, in the order in which they are filled; any one
            number for an encoder-decoder, which writes one answer.
        max_tokens: an answer is cut there; None for the number in the rules.
        constraints: rules on each answer, in the order of `blanks`; None for one without. Empty
            for none at all.
    """

    token_ids: tuple[int, ...]
    blanks: tuple[int, ...]
    max_tokens: int | None = None
    constraints: tuple[AnswerConstraint | None, ...] = ()

    def with_blanks(self, numbers: Sequence[int]) -> "Prompt":
        """Return the same with these blanks only, by their numbers, in this order."""
        return Prompt(
            self.token_ids,
            tuple(self.blanks[number] for number in numbers),
            self.max_tokens,
            tuple(self.constraints[number] for number in numbers) if self.constraints else (),
        )

    def begin(self, blank: int, max_tokens: int) -> RuleProgress | None:
        """Return where the answer in a blank begins under its rules; None if it has none.

        Args:
            blank: number in the order of filling.
            max_tokens: most tokens of an answer.
        """
        constraint = self.constraints[blank] if self.constraints else None
        return None if constraint is None else constraint.begin(max_tokens)


@dataclass(frozen=True, slots=True)
class Chunk:
    """New columns of one row: tokens, positions in Part A, positions inside the span."""

    token_ids: Sequence[int]
    positions: Sequence[int]
    span_positions: Sequence[int]


def _chunk_of_prompt(prompt: Prompt, sop_id: int) -> Chunk:
    """Return Part A, followed by the `[sop]` that opens its first blank."""
    length = len(prompt.token_ids)
    return Chunk(
        (*prompt.token_ids, sop_id), (*range(length), prompt.blanks[0]), (*[0] * length, 1)
    )


class Rows:
    """A batch under way: what each row has stored, and which of it is real."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache = RowCache()
        self._is_real: Tensor | None = None

    @property
    def num_columns(self) -> int:
        """Columns stored so far, padding included."""
        return self._cache.get_seq_length()

    def feed_texts(self, prompts: Sequence[Prompt], context: str) -> None:
        """Encode Part A of every prompt, without opening a blank; arguments as for the next one."""
        lengths = [len(prompt.token_ids) for prompt in prompts]
        chunks = [
            Chunk(prompt.token_ids, range(length), [0] * length)
            for prompt, length in zip(prompts, lengths, strict=True)
        ]
        with fast_fp32_products(self._model.dtype, self._model.device):
            self.feed(chunks, prefix_length=max(lengths) if context == "bi" else 0)

    def feed_prompts(self, prompts: Sequence[Prompt], sop_id: int, context: str) -> Tensor:
        """Encode Part A of every prompt and open its first blank; return logits [R, V].

        Args:
            prompts: one a row.
            sop_id: the token that opens a span.
            context: "bi", or "uni" for a causal Part A (the paper's unidirectional setting).
        """
        chunks = [_chunk_of_prompt(prompt, sop_id) for prompt in prompts]
        num_prefix = max(len(chunk.token_ids) for chunk in chunks) - 1 if context == "bi" else 0
        # A prompt has enough rows for fast products; for single steps they bring nothing.
        with fast_fp32_products(self._model.dtype, self._model.device):
            return self.feed(chunks, prefix_length=num_prefix)

    def feed(self, chunks: Sequence[Chunk], prefix_length: int | None = None) -> Tensor:
        """Append one chunk a row; return float[R, V], the logits after its last token.

        Args:
            chunks: of any lengths, at least one token each.
            prefix_length: padded columns of Part A in the first chunk; later chunks have none.
        """
        width = max(len(chunk.token_ids) for chunk in chunks)
        is_real = torch.tensor([_left_padded([1] * len(c.token_ids), width) for c in chunks]).bool()
        token_ids = [_left_padded(c.token_ids, width) for c in chunks]
        positions = [
            [_left_padded(c.positions, width) for c in chunks],
            [_left_padded(c.span_positions, width) for c in chunks],
        ]
        self._note_padding(is_real.to(self._model.device))
        return self._forward(torch.tensor(token_ids), torch.tensor(positions), prefix_length)

    def step(self, token_ids: Sequence[int], positions: Sequence[Sequence[int]]) -> Tensor:
        """Append one token a row; return float[R, V].

        Args:
            token_ids: R tokens.
            positions: 2 x R, positions in Part A and inside the span.
        """
        if self._is_real is not None:
            column = self._is_real.new_ones(len(token_ids), 1)
            self._is_real = torch.cat([self._is_real, column], dim=1)
        ids_R1 = torch.tensor(token_ids)[:, None]
        return self._forward(ids_R1, torch.tensor(positions)[:, :, None], None)

    def select(self, rows: Sequence[int]) -> Self:
        """Return new rows: a copy of these, any number of times each."""
        index = torch.tensor(rows, device=self._model.device)
        selected = copy(self)
        selected._cache = self._cache.select(index)
        selected._is_real = None if self._is_real is None else self._is_real[index]
        return selected

    def reorder(self, rows: Sequence[int], start: int) -> None:
        """Replace row i by row rows[i]; columns before `start` must be equal in both."""
        if list(rows) == list(range(len(rows))):
            return
        index = torch.tensor(rows, device=self._model.device)
        self._cache.reorder(index, start)
        if self._is_real is not None:
            self._is_real = self._is_real[index]

    def join(self, other: Self) -> None:
        """Add the rows of another batch after these.

        Args:
            other: encoded and decoded as far as it likes; not to be used any more.
        """
        ours, theirs = self._which_are_real(), other._which_are_real()
        width = max(ours.shape[1], theirs.shape[1])
        is_real = torch.cat([padded(ours, width), padded(theirs, width)])
        self._is_real = None if is_real.all() else is_real
        self._cache.join(other._cache)

    def drop(self, rows: Collection[int]) -> list[int]:
        """Drop rows, but not all, in place; later rows take their places.

        Returns:
            For each row that is left, which row it was.
        """
        num_left = self._cache.num_rows - len(rows)
        movers = [row for row in range(num_left, self._cache.num_rows) if row not in rows]
        order = [movers.pop() if row in rows else row for row in range(num_left)]
        num_unseen = 0
        if self._is_real is not None:
            is_real = self._is_real[torch.tensor(order, device=self._is_real.device)]
            num_unseen = num_padded(is_real)
            is_real = is_real[:, num_unseen:]
            self._is_real = None if is_real.all() else is_real
        self._cache.drop(order, num_unseen)
        return order

    def _which_are_real(self) -> Tensor:
        """Return bool[R, columns], False on padding."""
        if self._is_real is not None:
            return self._is_real
        shape = (self._cache.num_rows, self.num_columns)
        return torch.ones(shape, dtype=torch.bool, device=self._model.device)

    def _note_padding(self, is_real: Tensor) -> None:
        if self._is_real is None and not is_real.all():
            self._is_real = is_real.new_ones(is_real.shape[0], self.num_columns)
        if self._is_real is not None:
            self._is_real = torch.cat([self._is_real, is_real], dim=1)

    def _forward(self, token_ids: Tensor, positions: Tensor, prefix_length: int | None) -> Tensor:
        device = self._model.device
        prefix_lengths = None
        if prefix_length is not None:
            prefix_lengths = torch.full((len(token_ids),), prefix_length, device=device)
        logits_R1V: Tensor = self._model(
            input_ids=token_ids.to(device),
            position_ids=positions.to(device),
            attention_mask=self._is_real,
            prefix_lengths=prefix_lengths,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits_R1V[:, 0]


RowsMaker = Callable[[Any], Rows]
"""model -> empty rows for it."""


def padded(is_real: Tensor, width: int) -> Tensor:
    """Return bool[R, width], more columns of padding in front."""
    return functional.pad(is_real, (width - is_real.shape[1], 0), value=False)


def num_padded(is_real: Tensor) -> int:
    """Return how many columns at the front are padding in every row of bool[R, S]."""
    return int(is_real.any(dim=0).int().argmax())


def _left_padded(values: Sequence[int], width: int) -> list[int]:
    # On the left, so that the next token of every row is in the same column.
    return [0] * (width - len(values)) + list(values)
