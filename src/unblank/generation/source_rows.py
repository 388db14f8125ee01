"""Rows of an encoder-decoder: a source behind cross-attention, and an answer that grows.

Sources are encoded once. Neighbouring rows of one source share its keys and values, which are
stored and read once for all of them.

Shapes: `N` sources, `R` rows, `S` source tokens, `D` width, `V` vocabulary.
"""

from collections.abc import Collection, Sequence
from itertools import groupby
from math import gcd
from typing import Any, Self

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from unblank.generation.cache import RowCache
from unblank.generation.rows import Chunk, Prompt, Rows, num_padded, padded
from unblank.models.products import fast_fp32_products

__all__ = ["SourceRows", "encode_sources"]


class SourceRows(Rows):
    """A batch under way; the prompts of `feed_prompts` are sources.

    Args:
        model: an encoder-decoder in evaluation mode.
        first_ids: tokens that every answer starts with, and that are not part of it.
    """

    _cache: "SourceCache"

    def __init__(self, model: Any, first_ids: Sequence[int] = ()) -> None:
        super().__init__(model)
        self._cache = SourceCache()
        self._first_ids = tuple(first_ids)
        self._source_NSD = torch.empty(0)
        self._is_source_NS: Tensor | None = None

    def feed_prompts(self, prompts: Sequence[Prompt], sop_id: int, context: str) -> Tensor:
        """Encode the source of every prompt and open its answer; return logits [R, V].

        Args:
            prompts: one a row.
            sop_id: the token that the decoder starts with.
            context: "bi"; an encoder sees both sides.
        """
        assert context == "bi"
        sources = [prompt.token_ids for prompt in prompts]
        self._source_NSD, is_source_NS = encode_sources(self._model, sources)
        # Without padding there is no mask, which is faster.
        self._is_source_NS = None if is_source_NS.all() else is_source_NS
        start = (sop_id, *self._first_ids)
        logits_RV = self.feed([Chunk(start, start, start)] * len(prompts))
        # Its keys and values are stored: from now on only the number of sources is asked for.
        self._source_NSD = self._source_NSD[:, :1].clone()
        return logits_RV

    def select(self, rows: Sequence[int]) -> Self:
        """Return new rows: a copy of these, any number of times each."""
        sources = _shared_sources([row // self._rows_per_source for row in rows])
        selected = super().select(rows)
        selected._take_sources(self, sources)
        return selected

    def join(self, other: Self) -> None:
        """Add the rows of another batch after these; each row then has a source of its own."""
        self._unshare_sources()
        other._unshare_sources()
        super().join(other)
        ours, theirs = self._which_are_sources(), other._which_are_sources()
        width = max(ours.shape[1], theirs.shape[1])
        is_source = torch.cat([padded(ours, width), padded(theirs, width)])
        self._is_source_NS = None if is_source.all() else is_source
        self._source_NSD = torch.cat([self._source_NSD, other._source_NSD])
        self._cache.cross_attention_cache.join(other._cache.cross_attention_cache)

    def drop(self, rows: Collection[int]) -> list[int]:
        """Drop rows, but not all, in place; each row then has a source of its own."""
        self._unshare_sources()
        order = super().drop(rows)
        index = torch.tensor(order, device=self._model.device)
        num_unseen = 0
        if self._is_source_NS is not None:
            is_source = self._is_source_NS[index]
            num_unseen = num_padded(is_source)
            is_source = is_source[:, num_unseen:]
            self._is_source_NS = None if is_source.all() else is_source
        self._source_NSD = self._source_NSD[index]
        self._cache.cross_attention_cache.drop(order, num_unseen)
        return order

    @property
    def _rows_per_source(self) -> int:
        return self._cache.num_rows // len(self._source_NSD)

    def _unshare_sources(self) -> None:
        if self._rows_per_source > 1:
            rows = range(self._cache.num_rows)
            self._take_sources(self, [row // self._rows_per_source for row in rows])

    def _take_sources(self, given: Self, sources: Sequence[int]) -> None:
        index = torch.tensor(sources, device=self._model.device)
        cross_cache = given._cache.cross_attention_cache
        self._cache.cross_attention_cache = cross_cache.select(index)
        self._source_NSD = given._source_NSD[index]
        if given._is_source_NS is not None:
            self._is_source_NS = given._is_source_NS[index]

    def _which_are_sources(self) -> Tensor:
        """Return bool[N, S], False on padding."""
        if self._is_source_NS is not None:
            return self._is_source_NS
        shape = (len(self._source_NSD), self._cache.cross_attention_cache.get_seq_length())
        return torch.ones(shape, dtype=torch.bool, device=self._model.device)

    def _forward(
        self,
        token_ids: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        prefix_length: int | None,
        logits_to_keep: int | Tensor,
    ) -> Tensor:
        logits_RWV: Tensor = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._source_NSD),
            attention_mask=self._is_source_NS,
            decoder_input_ids=token_ids.to(self._model.device),
            decoder_attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=logits_to_keep,
        ).logits
        return logits_RWV


class SourceCache(RowCache):
    """Stands in for an `EncoderDecoderCache`: itself for the answers, another one for the sources.

    Attributes:
        cross_attention_cache: keys and values of the sources.
        is_updated: layer -> whether its source is stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cross_attention_cache = RowCache(spare_columns=0)
        self.is_updated: dict[int, bool] = {}

    @property
    def self_attention_cache(self) -> Self:
        """The answers."""
        return self

    def select(self, rows: Tensor) -> Self:
        """Return a new cache of these answers, int64[R]; its sources are still to be given."""
        selected = super().select(rows)
        selected.is_updated = dict(self.is_updated)
        return selected


def encode_sources(model: Any, sources: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return float[N, S, D], the encoder's states, and bool[N, S], False on padding."""
    lengths = torch.tensor([len(source) for source in sources])
    width = int(lengths.max())
    token_ids = torch.tensor([[*source, *[0] * (width - len(source))] for source in sources])
    is_source = (torch.arange(width) < lengths[:, None]).to(model.device)
    with fast_fp32_products(model.dtype, model.device):
        encoded = model.get_encoder()(token_ids.to(model.device), attention_mask=is_source)
    return encoded.last_hidden_state, is_source


def _shared_sources(sources: Sequence[int]) -> list[int]:
    """Return the sources so that each serves as many neighbouring rows, as many as possible."""
    runs = [len(list(run)) for _, run in groupby(sources)]
    return list(sources[:: gcd(*runs)])
