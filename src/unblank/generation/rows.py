"""Rows that grow token by token from encoded texts: positions, padding and cache of one batch.

Chunks are padded on the left and the padding is never seen, so a row's numbers do not depend on
what else is in the batch. Rows may join a batch that is under way, and leave it. A row may have
branches, such as the beams of a text: what they share is stored and read once for all of them.

Shapes: `R` rows, `W` branches of a row, `S` stored columns, `T` new tokens, `V` vocabulary.
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
    """A batch under way: what each row has stored, and which of it its branches see.

    Rows begin with one branch each, and have as many branches as each other.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache = RowCache()
        # None is one branch a row, which sees everything: without a mask attention is faster.
        self._visible_RWS: Tensor | None = None

    @property
    def num_columns(self) -> int:
        """Columns stored so far, S, padding included."""
        return self._cache.get_seq_length()

    @property
    def num_branches(self) -> int:
        """Branches of a row, W."""
        return 1 if self._visible_RWS is None else self._visible_RWS.shape[1]

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
        """Append one chunk a branch; return float[R * W, V], the logits after its last token.

        Args:
            chunks: of any lengths, at least one token each; those of a row's branches together.
            prefix_length: padded columns of Part A in the first chunk; later chunks have none.
        """
        width = max(len(chunk.token_ids) for chunk in chunks)
        is_real = torch.tensor([_left_padded([1] * len(c.token_ids), width) for c in chunks]).bool()
        token_ids = [_left_padded(c.token_ids, width) for c in chunks]
        positions = [
            [_left_padded(c.positions, width) for c in chunks],
            [_left_padded(c.span_positions, width) for c in chunks],
        ]
        return self._append(
            torch.tensor(token_ids), torch.tensor(positions), is_real, prefix_length
        )

    def step(self, token_ids: Sequence[int], positions: Sequence[Sequence[int]]) -> Tensor:
        """Append one token a branch; return float[R * W, V].

        Args:
            token_ids: R * W tokens, those of a row's branches together.
            positions: 2 x R * W, positions in Part A and inside the span.
        """
        ids = torch.tensor(token_ids)[:, None]
        return self._append(ids, torch.tensor(positions)[:, :, None], torch.ones_like(ids).bool())

    def branch(self, parents: Sequence[int]) -> None:
        """Replace the branches of every row.

        Args:
            parents: for each new branch, those of a row together, which of the row's branches it
                goes on from.
        """
        visible_RWS = self._which_are_visible()
        index = torch.tensor(parents, device=visible_RWS.device).view(len(visible_RWS), -1, 1)
        self._visible_RWS = visible_RWS.gather(1, index.expand(-1, -1, visible_RWS.shape[2]))
        self._forget_unseen(self._visible_RWS)

    def apart(self) -> Self:
        """Return rows of one branch, one for each branch of these."""
        if self._visible_RWS is None or self.num_branches == 1:
            return self
        of_row = [row for row in range(self._cache.num_rows) for _ in range(self.num_branches)]
        rows = self.select(of_row)
        rows._visible_RWS = self._visible_RWS.flatten(0, 1)[:, None]
        return rows

    def select(self, rows: Sequence[int]) -> Self:
        """Return new rows: a copy of these, any number of times each."""
        index = torch.tensor(rows, device=self._model.device)
        selected = copy(self)
        selected._cache = self._cache.select(index)
        selected._visible_RWS = None if self._visible_RWS is None else self._visible_RWS[index]
        return selected

    def join(self, other: Self) -> None:
        """Add the rows of another batch after these; all have one branch each.

        Args:
            other: encoded and decoded as far as it likes; not to be used any more.
        """
        ours, theirs = self._which_are_visible(), other._which_are_visible()
        width = max(ours.shape[2], theirs.shape[2])
        self._visible_RWS = _or_all(torch.cat([padded(ours, width), padded(theirs, width)]))
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
        if self._visible_RWS is not None:
            visible_RWS = self._visible_RWS[torch.tensor(order, device=self._visible_RWS.device)]
            num_unseen = num_padded(visible_RWS.any(dim=1))
            self._visible_RWS = _or_all(visible_RWS[:, :, num_unseen:])
        self._cache.drop(order, num_unseen)
        return order

    def _forget_unseen(self, visible_RWS: Tensor) -> None:
        """Drop the columns that no branch sees any more, once they are half of all."""
        is_seen_RS = visible_RWS.any(dim=1)
        num_seen = int(is_seen_RS.sum(dim=1).max())
        if 2 * num_seen > self.num_columns:
            return
        # Unseen ones come first, and are left out where a row has more of them than the others.
        columns_RS = is_seen_RS.byte().argsort(dim=1, stable=True)[:, -num_seen:]
        index = columns_RS[:, None].expand(-1, visible_RWS.shape[1], -1)
        self._visible_RWS = visible_RWS.gather(2, index)
        self._cache.keep(columns_RS)

    def _which_are_visible(self) -> Tensor:
        """Return bool[R, W, S], which stored columns each branch sees."""
        if self._visible_RWS is not None:
            return self._visible_RWS
        shape = (self._cache.num_rows, 1, self.num_columns)
        return torch.ones(shape, dtype=torch.bool, device=self._model.device)

    def _append(
        self,
        token_ids: Tensor,
        positions: Tensor,
        is_real: Tensor,
        prefix_length: int | None = None,
    ) -> Tensor:
        """Append int64[R * W, T] tokens, bool[R * W, T] not padding; return float[R * W, V]."""
        num_branches, num_new = self.num_branches, token_ids.shape[1]
        is_real_RWT = is_real.to(self._model.device).unflatten(0, (-1, num_branches))
        rows = len(is_real_RWT)
        logits_RWV = self._forward(
            token_ids.view(rows, -1),
            positions.reshape(2, rows, -1),
            self._see(is_real_RWT),
            prefix_length,
            num_branches if 1 in (num_branches, num_new) else _last_of_each(num_branches, num_new),
        )
        return logits_RWV.flatten(0, 1)

    def _see(self, is_real_RWT: Tensor) -> Tensor | None:
        """Note new columns, T for each branch; return the mask under which the model reads them.

        Returns:
            bool[R, S + T] for single branches, else bool[R, 1, W * T, S + W * T]; or None.
        """
        rows, num_branches, num_new = is_real_RWT.shape
        if self._visible_RWS is None and is_real_RWT.all():
            return None
        stored_RWS = self._visible_RWS
        if stored_RWS is None:
            stored_RWS = is_real_RWT.new_ones(rows, 1, self.num_columns)
        is_own_WW1 = torch.eye(num_branches, dtype=torch.bool, device=is_real_RWT.device)[..., None]
        added = (is_real_RWT[:, None] & is_own_WW1).flatten(2)
        self._visible_RWS = torch.cat([stored_RWS, added], dim=2)
        if num_branches == 1:
            return self._visible_RWS[:, 0]
        return _branch_visibility(self._visible_RWS, num_new)

    def _forward(
        self,
        token_ids: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        prefix_length: int | None,
        logits_to_keep: int | Tensor,
    ) -> Tensor:
        """Return float[R, W, V] of int64[R, W * T] tokens at int64[2, R, W * T] positions."""
        device = self._model.device
        prefix_lengths = None
        if prefix_length is not None:
            prefix_lengths = torch.full((len(token_ids),), prefix_length, device=device)
        logits_RWV: Tensor = self._model(
            input_ids=token_ids.to(device),
            position_ids=positions.to(device),
            attention_mask=mask,
            prefix_lengths=prefix_lengths,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=logits_to_keep,
        ).logits
        return logits_RWV


RowsMaker = Callable[[Any], Rows]
"""model -> empty rows for it."""


def padded(is_real: Tensor, width: int) -> Tensor:
    """Return bool[..., width], more columns of padding in front."""
    return functional.pad(is_real, (width - is_real.shape[-1], 0), value=False)


def num_padded(is_real: Tensor) -> int:
    """Return how many columns at the front are padding in every row of bool[R, S]."""
    return int(is_real.any(dim=0).int().argmax())


def _left_padded(values: Sequence[int], width: int) -> list[int]:
    # On the left, so that the next token of every row is in the same column.
    return [0] * (width - len(values)) + list(values)


def _or_all(visible_RWS: Tensor) -> Tensor | None:
    """Return None in place of single branches that see everything."""
    return None if visible_RWS.shape[1] == 1 and visible_RWS.all() else visible_RWS


def _last_of_each(num_branches: int, num_new: int) -> Tensor:
    """Return int64[W], the columns of the last token of every branch among the new ones."""
    return torch.arange(num_new - 1, num_branches * num_new, num_new)


def _branch_visibility(visible_RWS: Tensor, num_new: int) -> Tensor:
    """Return who sees whom, bool[R, 1, W * T, S], where the last W * T columns are new."""
    _, num_branches, num_columns = visible_RWS.shape
    total = num_branches * num_new
    is_earlier = visible_RWS.new_ones(num_new, num_columns)
    is_earlier[:, -total:] = is_earlier[:, -num_new:].tril().repeat(1, num_branches)
    visible = (visible_RWS[:, :, None] & is_earlier).flatten(1, 2)
    # Padding sees itself: a softmax over nothing is NaN.
    visible[:, :, -total:] |= torch.eye(total, dtype=torch.bool, device=visible.device)
    return visible[:, None]
