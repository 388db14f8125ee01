"""The whole sentence for GanLM's discriminator: a source whose blanks hold the sampled tokens.

The published program shows the discriminator the target, spans between sentinels. The paper
(section 2.3) speaks of the sampled sentence; this puts it together, so that both can be compared.

Shapes: `B` rows, `S` source tokens, `T` target tokens, `F` tokens of the full sentence, `V`
vocabulary, `R` blanks of a row.
"""

import torch
from torch import Tensor

from unblank.models.ganlm.losses import content_positions

__all__ = ["full_sentences"]


def full_sentences(
    source_BS: Tensor,
    is_source_BS: Tensor,
    decoder_input_ids_BT: Tensor,
    labels_BT: Tensor,
    sampled_BT: Tensor,
    is_content_V: Tensor,
    start_id: int | None,
    pad_id: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sentences with samples in their blanks, and where each sample is.

    Args:
        source_BS: int64, a sentinel for each hidden span.
        is_source_BS: bool, False on padding.
        decoder_input_ids_BT: int64, the same sentinels in the same order, each before its span.
        labels_BT: int64, -100 where not scored.
        sampled_BT: int64, read on content positions only.
        is_content_V: from `content_ids`; every other id in a source is a blank.
        start_id: the decoder's start token, which is not a blank.
        pad_id: fills up shorter sentences.

    Returns:
        int64[B, F] ids, bool[B, F] False on padding, int64[B, T] the column of each content
        position, F elsewhere.

    Raises:
        ValueError: if source and target of a row have different numbers of blanks.
    """
    is_blank_BS = is_source_BS & ~is_content_V[source_BS]
    is_blank_BT = ~is_content_V[decoder_input_ids_BT] & (decoder_input_ids_BT != pad_id)
    if start_id is not None:
        is_blank_BT &= decoder_input_ids_BT != start_id
    if not torch.equal(is_blank_BS.sum(dim=1), is_blank_BT.sum(dim=1)):
        raise ValueError(
            "a discriminator that reads whole sentences needs targets of span corruption: a "
            "sentinel before each span, and the same sentinels in the source"
        )
    is_content_BT = content_positions(labels_BT, is_content_V)
    rank_BT = (is_blank_BT.cumsum(dim=1) - 1).clamp(min=0)
    sizes_BR = torch.zeros_like(source_BS).scatter_add(1, rank_BT, is_content_BT.long())
    before_BR = sizes_BR.cumsum(dim=1) - sizes_BR
    rank_BS = is_blank_BS.cumsum(dim=1) - is_blank_BS.long()
    place_BS = is_source_BS.cumsum(dim=1) - 1
    column_BS = place_BS - rank_BS + _gather(before_BR, rank_BS)
    start_BR = torch.zeros_like(source_BS).scatter_add(1, rank_BS, column_BS * is_blank_BS)
    nth_BT = is_content_BT.cumsum(dim=1) - 1
    column_BT = _gather(start_BR, rank_BT) + nth_BT - _gather(before_BR, rank_BT)
    lengths_B = (is_source_BS & ~is_blank_BS).sum(dim=1) + is_content_BT.sum(dim=1)
    width = int(lengths_B.max())
    column_BS = column_BS.masked_fill(~is_source_BS | is_blank_BS, width)
    column_BT = column_BT.masked_fill(~is_content_BT, width)
    sentences = source_BS.new_full((len(source_BS), width + 1), pad_id)
    sentences = sentences.scatter(1, column_BS, source_BS).scatter(1, column_BT, sampled_BT)
    is_real_BF = torch.arange(width, device=source_BS.device) < lengths_B[:, None]
    return sentences[:, :width], is_real_BF, column_BT


def _gather(values_BR: Tensor, index: Tensor) -> Tensor:
    return values_BR.gather(1, index.clamp(max=values_BR.shape[1] - 1))
