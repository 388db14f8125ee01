"""A source and its target as an example: what fine-tuning on pairs of texts learns.

The source side is that of `unblank.tokenization.source_layout`, which generation shares.

Shapes: `S` source tokens, `T` target tokens, the end included.
"""

from collections.abc import Sequence

import numpy as np

from unblank.examples import IGNORE_INDEX, Example, IntArray, Seq2SeqExample
from unblank.tokenization.source_layout import encoder_source
from unblank.tokenization.special import SpecialIds

__all__ = ["encoder_decoder_pair", "glm_fills", "glm_pair"]


def encoder_decoder_pair(source: IntArray, target: IntArray, special: SpecialIds) -> Seq2SeqExample:
    """Return the pair for an encoder-decoder: it reads the source, and starts with `sop`.

    Args:
        source: int64[S], as the encoder reads it, without its end.
        target: int64[T - 1], the text alone.
        special: `eos` ends both sides, `sop` starts the decoder.

    Example:
        >>> from types import SimpleNamespace
        >>> ids = SimpleNamespace(eos=2, sop=9)
        >>> pair = encoder_decoder_pair(np.array([5, 6]), np.array([7, 8]), ids)
        >>> pair.input_ids.tolist(), pair.decoder_input_ids.tolist(), pair.labels.tolist()
        ([5, 6, 2], [9, 7, 8], [7, 8, 2])
    """
    return Seq2SeqExample(
        np.array(encoder_source(source.tolist(), special.eos), dtype=np.int64),
        np.concatenate([[special.sop], target]).astype(np.int64),
        np.concatenate([target, [special.eos]]).astype(np.int64),
        "source_target",
    )


def glm_pair(part_a: IntArray, blank: int, target: IntArray, special: SpecialIds) -> Example:
    """Return the pair for a GLM: the target fills a blank of Part A.

    Args:
        part_a: int64[S], the source with one blank, for example of `source_layout.glm_source`.
        blank: position of the blank in it.
        target: int64[T - 1], the text alone.
        special: `sop` starts Part B, `eop` is its last label.

    Example:
        >>> from types import SimpleNamespace
        >>> ids = SimpleNamespace(sop=9, eop=2)
        >>> pair = glm_pair(np.array([1, 5, 6, 70, 3]), 3, np.array([7, 8]), ids)
        >>> pair.input_ids.tolist(), pair.labels.tolist()[-3:]
        ([1, 5, 6, 70, 3, 9, 7, 8], [7, 8, 2])
        >>> pair.position_ids.tolist()
        [[0, 1, 2, 3, 4, 3, 3, 3], [0, 0, 0, 0, 0, 1, 2, 3]]
    """
    return glm_fills(part_a, [blank], [target], special)


def glm_fills(
    part_a: IntArray, blanks: Sequence[int], targets: Sequence[IntArray], special: SpecialIds
) -> Example:
    """Return a text with its answers for a GLM: each fills a blank, from left to right.

    Args:
        part_a: int64[S], the source with its blanks.
        blanks: positions of the blanks in it, at least one.
        targets: int64, the text of each answer alone.
        special: `sop` starts each answer, `eop` is its last label.

    Example:
        >>> from types import SimpleNamespace
        >>> ids = SimpleNamespace(sop=9, eop=2)
        >>> answers = [np.array([7]), np.array([8])]
        >>> filled = glm_fills(np.array([1, 70, 5, 70]), [1, 3], answers, ids)
        >>> filled.input_ids.tolist(), filled.labels.tolist()[4:]
        ([1, 70, 5, 70, 9, 7, 9, 8], [7, 2, 8, 2])
        >>> filled.position_ids.tolist()
        [[0, 1, 2, 3, 1, 1, 3, 3], [0, 0, 0, 0, 1, 2, 1, 2]]
    """
    num_a = len(part_a)
    ids, labels = [part_a], [np.full(num_a, IGNORE_INDEX)]
    place_in_a, place_in_b = [np.arange(num_a)], [np.zeros(num_a, dtype=np.int64)]
    for blank, target in zip(blanks, targets, strict=True):
        num_b = len(target) + 1
        ids.append(np.concatenate([[special.sop], target]))
        labels.append(np.concatenate([target, [special.eop]]))
        place_in_a.append(np.full(num_b, blank))
        place_in_b.append(np.arange(1, num_b + 1))
    return Example(
        np.concatenate(ids).astype(np.int64),
        np.stack([np.concatenate(place_in_a), np.concatenate(place_in_b)]).astype(np.int64),
        np.concatenate(labels).astype(np.int64),
        num_a,
        "source_target",
    )
