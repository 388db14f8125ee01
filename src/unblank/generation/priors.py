"""Candidates by what the text says of them, not by how common their words are.

A likely word wins in any text. What texts without content say of the candidates is that prior, and
is taken off: as pointwise mutual information (Holtzman et al. 2021, section 3.3), or as contextual
calibration (Zhao et al. 2021, section 5), which first makes the candidates of each text without
content sum to 1.

Shapes: `C` candidates of a text.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Prior", "without_prior"]

Prior = Literal["pmi", "contextual"]
"""How what a text without content says is taken off."""


def without_prior(scores_C: Tensor, content_free: Sequence[Tensor], prior: Prior) -> Tensor:
    """Return float32[C], the scores without what texts without content say of the candidates.

    Of several texts without content the mean probability counts. With one, both kinds rank the
    candidates alike, and give them the same shares. The softmax that Zhao et al. write around the
    corrected probabilities is left out, as in their program: probabilities are made to sum to 1.

    Args:
        scores_C: log-probabilities of candidates in a text.
        content_free: those of the same candidates in texts without content, at least one.
        prior: "pmi" gives nats that the text adds, "contextual" the log of probabilities that sum
            to 1.
    """
    of_texts = torch.stack(list(content_free))
    if prior == "contextual":
        of_texts = of_texts.log_softmax(dim=1)
    prior_C = of_texts.logsumexp(dim=0) - math.log(len(of_texts))
    corrected_C = scores_C - prior_C
    return corrected_C.log_softmax(dim=0) if prior == "contextual" else corrected_C
