"""Log-probabilities of targets given a source: one pass of the encoder for all of them.

The counterpart of `score` for encoder-decoders. Differentiable.

Shapes: `C` candidates, `T` columns, `P` predictions, `D` width, `V` vocabulary.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from unblank.generation.branches import check_candidates
from unblank.generation.source_rows import encode_sources
from unblank.models.loss import log_probabilities_in_chunks

__all__ = ["score_targets"]


def score_targets(
    model: Any,
    source: Sequence[int],
    candidates: Sequence[Sequence[int]],
    *,
    end_id: int | None,
    normalization: Literal["sum", "mean"],
) -> Tensor:
    """Return float32[C], the log-probability of each candidate as an answer to the source.

    Args:
        model: an encoder-decoder with its head.
        source: token ids as `unblank.tokenization.source_layout.encoder_source` makes them.
        candidates: token ids of each candidate, without an end token.
        end_id: the token that ends one; None leaves the end out of the score.
        normalization: "sum" over a candidate's tokens (its end included), or their "mean".

    Raises:
        ValueError: no candidate, an empty or repeated one, or an unknown normalisation.
    """
    if normalization not in ("sum", "mean"):
        raise ValueError(f"normalization is {normalization!r}: it must be 'sum' or 'mean'")
    check_candidates(candidates)
    ends = [] if end_id is None else [end_id]
    targets = [[*candidate, *ends] for candidate in candidates]
    counts_C = torch.tensor([len(target) for target in targets])
    width = int(counts_C.max())
    target_CT = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in targets])
    is_scored = torch.arange(width) < counts_C[:, None]
    start_C1 = torch.full((len(targets), 1), model.config.decoder_start_token_id)
    input_CT = torch.cat([start_C1, target_CT[:, :-1]], dim=1)
    source_1SD, is_source = encode_sources(model, [source])
    hidden_CTD = model.model(
        encoder_outputs=BaseModelOutput(last_hidden_state=source_1SD),
        attention_mask=is_source,
        decoder_input_ids=input_CT.to(model.device),
        use_cache=False,
    ).last_hidden_state
    hidden_PD = hidden_CTD[is_scored.to(model.device)]
    target_P = target_CT[is_scored].to(model.device)
    log_p_P = torch.cat(
        [
            log_p_CV.gather(1, target_P[rows, None])[:, 0]
            for rows, log_p_CV in log_probabilities_in_chunks(model.lm_head, hidden_PD)
        ]
    )
    owners_P = is_scored.nonzero()[:, 0].to(model.device)
    sums_C = log_p_P.new_zeros(len(targets)).index_add(0, owners_P, log_p_P)
    return sums_C / counts_C.to(sums_C.device) if normalization == "mean" else sums_C
