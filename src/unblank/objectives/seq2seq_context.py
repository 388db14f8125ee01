"""`Seq2SeqContext`: what an encoder-decoder's objective needs beside the text and the generator.

It can be pickled, so that data workers started in any way can hold an objective.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IntArray
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.tokenization.special import SpecialIds

__all__ = ["Seq2SeqContext"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seq2SeqContext:
    """Settings, ids and tables of one source of text.

    Attributes:
        settings: the options.
        special: ids of the special tokens; `eos` ends sentences, texts and targets, `sop` starts
            the decoder (see `unblank.tokenization.special.encoder_decoder_ids`).
        sentence_end: uint8[V], from `sentence_end_flags`.
        ordinary_ids: int64[O], ids that are not special, for random replacement.
        language_id: id of the tag of the source's language; None if languages have no tags.
    """

    settings: Seq2SeqSettings
    special: SpecialIds
    sentence_end: NDArray[np.uint8]
    ordinary_ids: IntArray
    language_id: int | None = None
