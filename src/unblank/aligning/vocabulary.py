"""How much of their vocabulary languages share: tokens of one that another uses, too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

from transformers import PreTrainedTokenizerFast

from unblank.tokenization.encoding import encode_texts

__all__ = ["vocabulary_overlap"]


def vocabulary_overlap(
    tokenizer: PreTrainedTokenizerFast, texts: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Return language -> other language -> percent of its running tokens that the other uses.

    Punctuation and digits are shared by most: the table is read in comparison, not by itself.

    Args:
        tokenizer: of the model.
        texts: language -> sentences.
    """
    counts = {
        code: Counter(chain.from_iterable(encode_texts(tokenizer, some, warn_on_unknown=False)))
        for code, some in texts.items()
    }
    return {
        code: {
            other: 100 * sum(n for token, n in own.items() if token in used) / max(own.total(), 1)
            for other, used in counts.items()
        }
        for code, own in counts.items()
    }
