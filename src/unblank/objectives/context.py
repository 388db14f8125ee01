"""`ObjectiveContext`: what an objective needs beside the text and the generator, prepared once.

It can be pickled, so that data workers started in any way can hold an objective.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IntArray
from unblank.objectives.drawing import ordinary_ids
from unblank.objectives.settings import ObjectiveSettings
from unblank.objectives.spans import span_length_cdf
from unblank.tokenization.special import SpecialIds

__all__ = ["ObjectiveContext", "make_context"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveContext:
    """Settings, special ids and the tables drawn from.

    Attributes:
        settings: the options.
        special: ids of the special tokens.
        sentence_end: uint8[V], from `sentence_end_flags`.
        max_length: positions of the model; positions of an example stay below it.
        length_cdf: float64[L], distribution of token span lengths.
        ordinary_ids: int64[O], ids that are not special, for random replacement.
    """

    settings: ObjectiveSettings
    special: SpecialIds
    sentence_end: NDArray[np.uint8]
    max_length: int
    length_cdf: NDArray[np.float64]
    ordinary_ids: IntArray


def make_context(
    settings: ObjectiveSettings,
    special: SpecialIds,
    sentence_end: NDArray[np.uint8],
    max_length: int,
) -> ObjectiveContext:
    """Return the context of these settings; arguments as in `mixture.build_objective`.

    Raises:
        ValueError: if sentinels are asked for and the tokenizer may not have enough.
    """
    needed = max(1, int(settings.mask_ratio * max_length))
    if settings.sentinels and len(special.sentinels) < needed:
        raise ValueError(
            f"objective.sentinels needs up to {needed} sentinels for texts of {max_length} "
            f"tokens, but the tokenizer has {len(special.sentinels)}: train one with "
            f"--tokenizer.num-sentinels {needed}, or turn objective.sentinels off"
        )
    return ObjectiveContext(
        settings=settings,
        special=special,
        sentence_end=sentence_end,
        max_length=max_length,
        length_cdf=span_length_cdf(settings.mean_span_length, settings.max_span_length),
        ordinary_ids=ordinary_ids(special, len(sentence_end)),
    )
