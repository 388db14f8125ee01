"""A text as a GLM reads it: `[CLS]` in front and an end behind, put there where they are missing.

transformers' pipelines hand over what a tokenizer made of a text, and ours write nothing around it.
What is put in are whole columns; in a row that has the token already, its column is padding.

Shapes: `B` rows, `T` tokens of the text, `S` tokens as they are read, `D` width.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unblank.models.glm.layout import blank_ids

__all__ = ["PartA", "part_a", "special_ids_of"]


@dataclass(frozen=True, slots=True)
class PartA:
    """Texts with all that a model reads.

    Attributes:
        front: tokens put before the text, int64[B, F].
        back: tokens put behind it, int64[B, E].
        is_real: bool[B, S], False on padding.
        is_blank: bool[B, T], the blanks of the text.
    """

    front: Tensor
    back: Tensor
    is_real: Tensor
    is_blank: Tensor

    @property
    def text(self) -> slice:
        """The columns of the text among those that are read."""
        return slice(self.front.shape[1], self.front.shape[1] + self.is_blank.shape[1])

    def around(self, token_ids: Tensor) -> Tensor:
        """Return int64[B, S], the text with what is read around it.

        Args:
            token_ids: int64[B, T].
        """
        return torch.cat([self.front, token_ids, self.back], dim=1)

    def around_embedded(self, embedded_BTD: Tensor, embed: nn.Module) -> Tensor:
        """Return float[B, S, D], the same of a text that was given as embeddings.

        Args:
            embedded_BTD: of the text.
            embed: the token embedding.
        """
        return torch.cat([embed(self.front), embedded_BTD, embed(self.back)], dim=1)


def part_a(
    token_ids: Tensor, is_real: Tensor | None, config: Any, *, is_continued: bool = False
) -> PartA:
    """Return how texts are read: `[CLS]`, the text, and an end unless it ends in `[gMASK]`.

    Args:
        token_ids: int64[B, T], of the texts.
        is_real: [B, T], non-zero on tokens that are not padding; None if all are real.
        config: of the model; a token that it does not name is not put in.
        is_continued: a text without a blank goes on in a `[gMASK]` behind it.

    Example:
        >>> from unblank.models.glm import GlmInfillConfig
        >>> config = GlmInfillConfig(cls_token_id=2, mask_token_id=9, eos_token_id=1)
        >>> text = torch.tensor([[5, 9, 6]])
        >>> part_a(text, None, config).around(text)
        tensor([[2, 5, 9, 6, 1]])
    """
    real_BT = torch.ones_like(token_ids, dtype=torch.bool) if is_real is None else is_real.bool()
    is_blank = _is_any(token_ids, blank_ids(config)) & real_BT
    lacks_blank = ~is_blank.any(dim=1)
    is_first = real_BT & (real_BT.cumsum(1) == 1)
    is_last = real_BT & (real_BT.flip(1).cumsum(1).flip(1) == 1)
    ends = [config.eos_token_id, config.sep_token_id]
    is_end = is_last & _is_any(token_ids, [end for end in ends if end is not None])
    blank_id, is_open = _open_blank(config)
    lacks_end = ~is_end.any(dim=1)
    if is_open:
        lacks_end &= ~(is_last & (token_ids == blank_id)).any(dim=1)
    front, back = _Columns(token_ids), _Columns(token_ids)
    front.add(config.cls_token_id, ~(is_first & (token_ids == config.cls_token_id)).any(dim=1))
    if is_continued:
        # Nothing follows an end.
        real_BT = real_BT & ~(is_end & lacks_blank[:, None])
        back.add(blank_id, lacks_blank)
        lacks_end = torch.where(lacks_blank, torch.full_like(lacks_end, not is_open), lacks_end)
    back.add(config.eos_token_id, lacks_end)
    return PartA(
        front=front.token_ids(),
        back=back.token_ids(),
        is_real=torch.cat([front.is_real(), real_BT, back.is_real()], dim=1),
        is_blank=is_blank,
    )


def special_ids_of(embedded_BTD: Tensor, table: nn.Embedding, token_ids: Iterable[int]) -> Tensor:
    """Return int64[B, T], the ids of columns that hold the embedding of some token, else -1.

    Args:
        embedded_BTD: of the texts.
        table: the token embedding.
        token_ids: of the tokens that are looked for.
    """
    found = embedded_BTD.new_full(embedded_BTD.shape[:2], -1, dtype=torch.long)
    for token_id in token_ids:
        found[(embedded_BTD == table.weight[token_id]).all(dim=-1)] = token_id
    return found


class _Columns:
    """Columns that are put beside a text, int64[B, T]."""

    def __init__(self, beside: Tensor) -> None:
        self._beside = beside
        self._token_ids = [beside[:, :0]]
        self._is_real = [torch.zeros_like(beside[:, :0], dtype=torch.bool)]

    def add(self, token_id: int | None, is_real_B: Tensor) -> None:
        if token_id is not None:
            self._token_ids.append(self._beside.new_full((len(is_real_B), 1), token_id))
            self._is_real.append(is_real_B[:, None])

    def token_ids(self) -> Tensor:
        return torch.cat(self._token_ids, dim=1)

    def is_real(self) -> Tensor:
        return torch.cat(self._is_real, dim=1)


def _is_any(token_ids: Tensor, wanted: list[int]) -> Tensor:
    return torch.isin(token_ids, torch.tensor(wanted, device=token_ids.device, dtype=torch.long))


def _open_blank(config: Any) -> tuple[int | None, bool]:
    """Return the blank of a continuation, and whether no end follows it."""
    if config.gmask_token_id in (None, config.mask_token_id):
        return config.mask_token_id, False  # one blank serves every purpose
    return config.gmask_token_id, True
