"""Words without end, as in data that is no text: divided, so that training a tokenizer ends.

The trainers join the pieces of a word again and again, in time that grows with the square of its
length. No word of a language comes near the limit.
"""

import re
import warnings
from collections.abc import Iterable, Iterator

from unblank.plurals import counted

__all__ = ["with_words_divided"]

LONGEST_WORD = 10_000
"""Characters without white space that are trained on in one piece."""

_WORD = re.compile(r"\S+")


def with_words_divided(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts, of which those with a longer word are divided inside it.

    Warns:
        UserWarning: at the end, with the number of words that were divided.
    """
    num_divided = 0
    for text in texts:
        start = 0
        for place in _places(text):
            yield text[start : place.start()]
            num_divided += 1
            start = place.end()
            for begin in range(place.start(), place.end(), LONGEST_WORD):
                yield text[begin : min(begin + LONGEST_WORD, place.end())]
        yield text[start:]
    if num_divided:
        warnings.warn(
            f"{counted(num_divided, 'word')} of more than {LONGEST_WORD:,} characters "
            f"{'was' if num_divided == 1 else 'were'} divided to train the tokenizer",
            stacklevel=2,
        )


def _places(text: str) -> Iterator[re.Match[str]]:
    """Yield where the words are that are too long."""
    if len(text) <= LONGEST_WORD:
        return
    yield from (found for found in _WORD.finditer(text) if len(found[0]) > LONGEST_WORD)
