"""Embeddings of tokens from the company that they keep, before a model has learnt anything.

Tokens that stand between the same neighbours get similar vectors: positive pointwise mutual
information of a token with its neighbours on either side, factorised by a singular value
decomposition (Levy and Goldberg, "Neural word embedding as implicit matrix factorization", 2014). A
model that starts from them does not have to learn first which words are similar.

Shapes: `V` rows of the vocabulary, `C` neighbours that are told apart, `D` width.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["cooccurrence_embeddings"]

_REACH = 2
"""How many tokens to the left and to the right are neighbours; one at distance n counts 1 / n."""
_MOST_NEIGHBOURS = 4096
"""How many tokens, the most frequent ones, are told apart as neighbours."""
_MOST_COUNTS = 2**26
"""Numbers in the table of counts; for a large vocabulary, neighbours are fewer to keep to it."""
_SMOOTHING = 0.75
"""Power of the frequencies of neighbours: rare ones say too much otherwise (Levy et al., 2015)."""
_TOO_RARE = 1e-6
_ITERATIONS = 3


def cooccurrence_embeddings(
    documents: Iterable[NDArray[np.int64]], num_tokens: int, width: int, *, std: float, seed: int
) -> Tensor:
    """Return the first embeddings of the tokens of a text.

    Args:
        documents: int64[n] each, ids below `num_tokens`.
        num_tokens: V.
        width: D.
        std: root mean square of the numbers of each vector.
        seed: of the decomposition, of the axes, and of tokens that the text does not hold.

    Returns:
        float32[V, D].
    """
    generator = torch.Generator().manual_seed(seed)
    drawn_VD = torch.randn(num_tokens, width, generator=generator)
    counts_VC = _neighbour_counts(documents, num_tokens)
    rank = min(width, *counts_VC.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the decomposition draws from the global generator alone
        left_VR, values_R, _ = torch.svd_lowrank(
            _positive_information(counts_VC), q=rank, niter=_ITERATIONS
        )
    factor_VR = left_VR * values_R.sqrt()
    factor_VR = factor_VR - factor_VR.mean(dim=0)
    # Rotated, as the first singular vectors would hold nearly all of the information.
    rotation_RD, _ = torch.linalg.qr(torch.randn(width, rank, generator=generator))
    vectors_VD = factor_VR @ rotation_RD.mT
    is_known = counts_VC.sum(dim=1) > 0
    vectors_VD = torch.where(is_known[:, None], vectors_VD, drawn_VD)
    norms_V1 = vectors_VD.norm(dim=1, keepdim=True).clamp_min(_TOO_RARE)
    scaled_VD: Tensor = vectors_VD / norms_V1 * (std * width**0.5)
    return scaled_VD


def _neighbour_counts(documents: Iterable[NDArray[np.int64]], num_tokens: int) -> Tensor:
    """Return float32[V, 2 C]: how often each token follows a neighbour, then how often before."""
    gap = np.full(_REACH, -1, np.int64)  # no neighbours across documents
    parts = [part for document in documents for part in (document, gap)]
    ids = np.concatenate([gap, *parts])
    frequencies = np.bincount(ids[ids >= 0], minlength=num_tokens)
    limit = max(1, min(_MOST_NEIGHBOURS, _MOST_COUNTS // (2 * num_tokens)))
    neighbours = np.argsort(-frequencies, kind="stable")[:limit]
    column = np.full(num_tokens, -1, np.int64)
    column[neighbours] = np.arange(len(neighbours))
    counts_VC = torch.zeros(num_tokens, 2 * len(neighbours))
    flat = counts_VC.view(-1)
    for distance in range(1, _REACH + 1):
        before, after = ids[:-distance], ids[distance:]
        is_pair = (before >= 0) & (after >= 0)
        before, after = before[is_pair], after[is_pair]
        for rows, others, side in ((after, before, 0), (before, after, 1)):
            columns = column[others]
            is_counted = columns >= 0
            places = rows * counts_VC.shape[1] + side * len(neighbours) + columns
            found, number = np.unique(places[is_counted], return_counts=True)
            flat[torch.from_numpy(found)] += torch.from_numpy(number / distance).float()
    return counts_VC


def _positive_information(counts_VC: Tensor) -> Tensor:
    """Return max(0, log p(token, neighbour) / (p(token) p(neighbour) ** 0.75 / sum))."""
    rows_V1 = counts_VC.sum(dim=1, keepdim=True).clamp_min(1)
    columns_C = counts_VC.sum(dim=0) ** _SMOOTHING
    shares_C = (columns_C / columns_C.sum().clamp_min(1)).clamp_min(torch.finfo(torch.float32).tiny)
    # Where nothing was counted, the logarithm is far below 0.
    return (counts_VC / rows_V1 / shares_C).clamp_min(1e-9).log().clamp_min(0)
