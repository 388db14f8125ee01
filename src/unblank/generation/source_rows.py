"""Rows of an encoder-decoder: a source behind cross-attention, and an answer that grows.

Sources are encoded once. Neighbouring rows of one source (beams, samples) share its keys and
values, which are stored and read once for all of them.

Shapes: `N` sources, `R` rows, `S` source tokens, `D` width, `V` vocabulary.
"""

from collections.abc import Sequence
from itertools import groupby
from math import gcd
from typing import Any, Self

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from unblank.generation.cache import RowCache
from unblank.generation.rows import Chunk, Prompt, Rows
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
        return self.feed([Chunk(start, start, start)] * len(prompts))

    def select(self, rows: Sequence[int]) -> Self:
        """Return new rows: a copy of these, any number of times each."""
        rows_per_source = self._cache.num_rows // len(self._source_NSD)
        sources = _shared_sources([row // rows_per_source for row in rows])
        index = torch.tensor(sources, device=self._model.device)
        selected = super().select(rows)
        selected._source_NSD = self._source_NSD[index]
        if self._is_source_NS is not None:
            selected._is_source_NS = self._is_source_NS[index]
        selected._cache.cross_attention_cache = self._cache.cross_attention_cache.select(index)
        return selected

    def _forward(self, token_ids: Tensor, positions: Tensor, prefix_length: int | None) -> Tensor:
        logits_R1V: Tensor = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._source_NSD),
            attention_mask=self._is_source_NS,
            decoder_input_ids=token_ids.to(self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits_R1V[:, 0]


class _Layer:
    """Keys and values of one layer, by the names that the model reads them with."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys
        self.values = values


class _CrossCache:
    """Keys and values of the sources, written once."""

    def __init__(self, layers: Sequence[_Layer] = ()) -> None:
        self.layers = list(layers)

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        self.layers.append(_Layer(keys, values))
        return keys, values

    def select(self, sources: Tensor) -> "_CrossCache":
        return _CrossCache([_Layer(one.keys[sources], one.values[sources]) for one in self.layers])


class SourceCache(RowCache):
    """Stands in for an `EncoderDecoderCache`: itself for the answers, another one for the sources.

    Attributes:
        cross_attention_cache: keys and values of the sources.
        is_updated: layer -> whether its source is stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cross_attention_cache = _CrossCache()
        self.is_updated: dict[int, bool] = {}

    @property
    def self_attention_cache(self) -> Self:
        """The answers."""
        return self

    @property
    def num_rows(self) -> int:
        """Rows of the answers."""
        return len(self._layers[0][0])

    def select(self, rows: Tensor) -> Self:
        """Return a new cache of these answers, int64[R]; its sources are still to be given."""
        selected = super().select(rows)
        selected.is_updated = dict(self.is_updated)
        return selected


def encode_sources(model: Any, sources: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return float[N, S, D], the encoder's states, and bool[N, S], False on padding.

    Args:
        model: an encoder-decoder.
        sources: token ids of any lengths.
    """
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
