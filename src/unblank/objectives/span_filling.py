"""How an encoder-decoder trained by span corruption reads a text with blanks.

The counterpart of `span_corruption.corrupt` for filling: nothing is hidden, as the text has its
blanks already.
"""

import numpy as np

from unblank.examples import IntArray
from unblank.objectives.seq2seq_context import Seq2SeqContext

__all__ = ["filling_layout"]


def filling_layout(tokens: IntArray, context: Seq2SeqContext) -> tuple[IntArray, IntArray]:
    """Return what the encoder reads, and what the decoder reads before it writes.

    Blank n becomes sentinel n. The decoder writes the words of the first blank, the second
    sentinel, the words of the second, and so on; the sentinel after the last one, or the end token,
    is where the last blank's words end.

    Args:
        tokens: int64[N], `[CLS]`, the text with `[MASK]` for each blank, and its end.
        context: special ids and options.

    Returns:
        int64[S] and int64[1] or int64[2].

    Raises:
        ValueError: if there is no blank, or there are more blanks than sentinels.
    """
    settings, special = context.settings, context.special
    is_blank = tokens == special.mask
    num_blanks = int(is_blank.sum())
    if num_blanks == 0:
        raise ValueError("the text has no blank: write [MASK] where words are missing")
    if num_blanks > len(special.sentinels):
        raise ValueError(
            f"the text has {num_blanks} blanks, but the tokenizer has only "
            f"{len(special.sentinels)} sentinels: fill the text in parts"
        )
    source = tokens.copy()
    source[is_blank] = special.sentinels[:num_blanks]
    if settings.remove_source_sentinels:
        source = tokens[~is_blank]
    first = [] if settings.remove_target_sentinels else [special.sentinels[0]]
    start = [special.sop] if settings.start_token else []
    return source, np.array(start + first, dtype=np.int64)
