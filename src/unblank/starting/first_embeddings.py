"""The first embeddings of a new model, where they come from its training text."""

from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel

from unblank.data.sampling import Corpus
from unblank.deferred_values import has_no_values
from unblank.examples import IntArray
from unblank.models.cooccurrence import cooccurrence_embeddings

__all__ = ["start_from_cooccurrence"]

_MOST_TOKENS = 10_000_000
"""Tokens of text that are read; more would hardly change the counts of frequent tokens."""


@torch.no_grad()
def start_from_cooccurrence(model: PreTrainedModel, corpora: Sequence[Corpus], seed: int) -> None:
    """Replace a new model's token embeddings by ones that are similar for similar tokens.

    Their standard deviation is that of the embeddings that they replace.

    Args:
        model: with new weights.
        corpora: the training text, of which the beginning of each source is read.
        seed: of what is drawn.
    """
    table_VD = model.get_input_embeddings().weight
    if has_no_values(table_VD):
        return
    num_tokens, width = table_VD.shape
    table_VD.copy_(
        cooccurrence_embeddings(
            _beginnings(corpora), num_tokens, width, std=float(table_VD.std()), seed=seed
        )
    )


def _beginnings(corpora: Sequence[Corpus]) -> Iterator[IntArray]:
    for corpus in corpora:
        left = _MOST_TOKENS // len(corpora)
        for index in range(len(corpus)):
            length = min(corpus.document_length(index), left)
            yield corpus.tokens(index, 0, length)
            left -= length
            if not left:
                break
