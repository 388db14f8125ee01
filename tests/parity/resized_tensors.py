"""How the tensors of a recorded model become those of a larger model with the same outputs.

Every unit of the larger model is a copy of an old one, and what reads copies takes equal shares of
them. A LayerNorm sees the same mean and variance if every unit has equally many copies; heads, the
units of a head and those of a feed-forward may have any number.

New rows of the word table must never be likely, whatever the hidden state. The last norm before a
tied table therefore splits: one copy of each unit carries what is scaled, a second one the bias,
which no input changes, and new rows read the second copies only.

Legend: D width, H heads, K units a head, F inner units of a feed-forward, V rows of the word table.
"""

import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor

UNLIKELY = 50.0
"""How far below zero the logits of new rows are, at least."""
SPREAD = 0.3
"""Deviation of rows that no recorded input reads."""


@dataclass(frozen=True)
class Copies:
    """Which old unit each new unit copies, int64[new]."""

    index: Tensor

    @property
    def shares(self) -> Tensor:
        """What a reader takes of each new unit, float64[new]."""
        return 1.0 / self.index.bincount()[self.index].double()

    def places(self, number: int) -> Tensor:
        """The new place of the first (0), second (1), ... copy of each old unit, int64[old]."""
        order = torch.argsort(self.index, stable=True)
        starts = self.index.bincount().cumsum(0) - self.index.bincount()
        return order[starts + number]


def copies(num_old: int, num_new: int, rng: torch.Generator) -> Copies:
    """Copy every unit as equally often as can be, in a shuffled order."""
    if num_new < num_old:
        raise ValueError(f"{num_old} units cannot become {num_new}: only more are possible")
    index = torch.arange(num_new) % num_old
    return Copies(index[torch.randperm(num_new, generator=rng)])


@dataclass(frozen=True)
class Insertion:
    """New rows of a table: how many, and before which old row."""

    at: int
    count: int

    def number(self, row: int) -> int:
        """The new number of an old row."""
        return row + self.count if row >= self.at else row

    def rows(self, table: Tensor, new: Tensor) -> Tensor:
        """The table with the new rows in their place."""
        return torch.cat([table[: self.at], new.to(table.dtype), table[self.at :]])


@dataclass(frozen=True)
class Voice:
    """The last norm before the tied table: its key's beginning, and its bias, float64[D]."""

    prefix: str
    bias: Tensor


@dataclass(frozen=True)
class Growth:
    """How a model grows; `voice` is None for an encoder whose logits are not recorded."""

    width: Copies
    heads: Copies
    head_units: Copies
    inner: Copies
    words: Insertion
    positions: Insertion
    voice: Voice | None
    num_words: int
    scales_embedding: bool = False

    @property
    def num_units(self) -> int:
        """The old width."""
        return self.width.index.bincount().numel()

    @property
    def attention(self) -> Copies:
        """The units of all heads, head by head."""
        num_units = int(self.head_units.index.max()) + 1
        return Copies((self.heads.index[:, None] * num_units + self.head_units.index).flatten())

    @property
    def query_factors(self) -> Tensor:
        """Scores are divided by the root of K and summed over copies: queries make up for both."""
        num_units = self.head_units.index.bincount().numel()
        root = math.sqrt(self.head_units.index.numel() / num_units)
        return (self.head_units.shares * root).repeat(self.heads.index.numel())

    @property
    def table_factor(self) -> float:
        """Of the word table; a model that multiplies it with the root of D has a larger root."""
        return self.voice_factor**-1

    @property
    def voice_factor(self) -> float:
        """Of the last norm, which makes up for the factor of the table."""
        num_copies = self.width.index.numel() / self.num_units
        return math.sqrt(num_copies) if self.scales_embedding else 1.0

    def _word_height(self) -> float:
        """A power of two, so that half precision holds it exactly."""
        total = self.voice_factor * float(self.voice.bias.abs().sum())
        return 2.0 ** math.ceil(math.log2(UNLIKELY / total))

    def new_words(self) -> Tensor:
        """The new rows of the word table, float64[count, D]."""
        num_units = self.width.index.numel()
        if self.voice is None:
            rng = torch.Generator().manual_seed(self.words.at)
            return SPREAD * torch.randn(self.words.count, num_units, generator=rng).double()
        rows = torch.zeros(self.words.count, num_units, dtype=torch.float64)
        rows[:, self.width.places(1)] = -self._word_height() * self.voice.bias.sign()
        return rows

    def new_logit(self, bias: Tensor | None = None) -> float:
        """The logit of every new word, whatever the input; `bias` as some checkpoint rounds it."""
        bias = self.voice.bias if bias is None else bias.double()
        return -self._word_height() * self.voice_factor * float(bias.abs().sum())

    # Of the weights

    def weight(self, key: str, tensor: Tensor) -> Tensor:
        """The larger model's tensor of this key."""
        if not tensor.is_floating_point() and not key.endswith("position_ids"):
            raise ValueError(f"{key} holds whole numbers")
        for pattern, kind in KINDS:
            if re.search(pattern, key):
                grown = getattr(self, f"_{kind}")(key, tensor.double())
                return grown.to(tensor.dtype)
        raise ValueError(f"{key} is a key of no kind known here")

    def _same(self, key: str, tensor: Tensor) -> Tensor:
        return tensor

    def _table(self, key: str, tensor: Tensor) -> Tensor:
        table = self.table_factor * tensor[:, self.width.index]
        return self.words.rows(table, self.new_words())

    def _word_bias(self, key: str, tensor: Tensor) -> Tensor:
        return self.words.rows(tensor, torch.zeros(self.words.count))

    def _place(self, key: str, tensor: Tensor) -> Tensor:
        rng = torch.Generator().manual_seed(self.positions.at)
        new = SPREAD * torch.randn(self.positions.count, self.width.index.numel(), generator=rng)
        return self.positions.rows(tensor[:, self.width.index], new)

    def _place_numbers(self, key: str, tensor: Tensor) -> Tensor:
        return torch.arange(tensor.shape[1] + self.positions.count)[None]

    def _columns(self, key: str, tensor: Tensor) -> Tensor:
        return tensor[:, self.width.index]

    def _bias_of_heads(self, key: str, tensor: Tensor) -> Tensor:
        return tensor[:, self.heads.index]

    def _norm(self, key: str, tensor: Tensor) -> Tensor:
        if self.voice is None or self.voice.prefix not in key:
            return tensor[self.width.index]
        split = torch.zeros(self.width.index.numel(), dtype=tensor.dtype)
        split[self.width.places(1 if key.endswith("bias") else 0)] = tensor * self.voice_factor
        return split

    def _query(self, key: str, tensor: Tensor) -> Tensor:
        grown = self._key_or_value(key, tensor)
        return grown * self.query_factors.reshape(-1, *[1] * (grown.dim() - 1))

    def _key_or_value(self, key: str, tensor: Tensor) -> Tensor:
        return self._reading(tensor[self.attention.index], self.width)

    def _joined(self, key: str, tensor: Tensor) -> Tensor:
        query, keys, values = tensor.chunk(3)
        rest = [self._key_or_value(key, part) for part in (keys, values)]
        return torch.cat([self._query(key, query), *rest])

    def _attention_output(self, key: str, tensor: Tensor) -> Tensor:
        return self._reading(tensor[self.width.index], self.attention)

    def _up(self, key: str, tensor: Tensor) -> Tensor:
        return self._reading(tensor[self.inner.index], self.width)

    def _down(self, key: str, tensor: Tensor) -> Tensor:
        return self._reading(tensor[self.width.index], self.inner)

    def _units(self, key: str, tensor: Tensor) -> Tensor:
        return self._reading(tensor[self.width.index], self.width)

    def _pooled(self, key: str, tensor: Tensor) -> Tensor:
        """A layer that reads the voice: its parts add up without shares."""
        grown = tensor[self.width.index]
        return grown if grown.dim() == 1 else grown[:, self.width.index] / self.voice_factor

    def _classes(self, key: str, tensor: Tensor) -> Tensor:
        return self._reading(tensor, self.width)

    @staticmethod
    def _reading(tensor: Tensor, read: Copies) -> Tensor:
        return tensor if tensor.dim() == 1 else tensor[:, read.index] * read.shares

    # Of recorded outputs

    def logits(self, tensor: Tensor, bias: Tensor | None = None) -> Tensor:
        """Logits [..., V] with those of the new words."""
        new = torch.full((*tensor.shape[:-1], self.words.count), self.new_logit(bias))
        parts = (tensor[..., : self.words.at], new.to(tensor.dtype), tensor[..., self.words.at :])
        return torch.cat(parts, dim=-1)

    def states(self, tensor: Tensor) -> Tensor:
        """Hidden states [..., D]."""
        return tensor[..., self.width.index]

    def features(self, tensor: Tensor) -> Tensor:
        """Hidden states [..., D] behind the voice."""
        split = tensor.new_zeros(*tensor.shape[:-1], self.width.index.numel())
        bias = self.voice.bias
        scaled = (tensor.double() - bias) * self.voice_factor
        split[..., self.width.places(0)] = scaled.to(tensor.dtype)
        split[..., self.width.places(1)] = (bias * self.voice_factor).to(tensor.dtype)
        return split

    def keys_and_values(self, tensor: Tensor) -> Tensor:
        """Cached keys and values side by side, [..., 2 D]."""
        parts = [part[..., self.attention.index] for part in tensor.chunk(2, dim=-1)]
        return torch.cat(parts, dim=-1)

    def ids(self, tensor: Tensor) -> Tensor:
        """Whole numbers: ids are numbered anew; all others here are smaller than the first."""
        return torch.where(tensor >= self.words.at, tensor + self.words.count, tensor)


KINDS = (
    (r"(^|\.)version$|\boutput_projection\.bias$", "same"),
    (r"\bposition_ids$", "place_numbers"),
    (r"(position_embeddings|embed_positions)\.weight$", "place"),
    (r"(word_embeddings|embed_tokens|lm_head)\.weight$", "table"),
    (r"^decoder\.(generator\.)?output_projection\.weight$", "table"),
    (r"\blm_head\.bias$", "word_bias"),
    (r"token_type_embeddings\.weight$", "columns"),
    (r"relative_attention_bias\.weight$", "bias_of_heads"),
    (r"(layer_?norm\w*|LayerNorm)\.(weight|bias)$", "norm"),
    (r"\bquery_key_value\.", "joined"),
    (r"\b(q_proj|query)\.", "query"),
    (r"\b([kv]_proj|key|value)\.", "key_or_value"),
    (r"\bmultichoice_head\.|sentence_classification_head\.out_proj\.|^out_proj\.", "classes"),
    (r"^decoder\.discriminator\.output_projection\.weight$", "classes"),
    (r"(attn\.out_proj|attention\.dense|attention\.output\.dense)\.", "attention_output"),
    (r"\b(fc1|fc3|dense_h_to_4h|intermediate\.dense)\.", "up"),
    (r"\b(fc2|fc4|dense_4h_to_h|layer\.\d+\.output\.dense)\.", "down"),
    (r"\bpool_layer\.|^dense\.", "pooled"),
    (r"\b(lm_head|output_projection|sentence_classification_head)\.dense\.", "units"),
)
"""What a key is, by the first pattern found in it: the name of a method above."""
