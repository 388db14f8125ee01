"""What passages are found by: words, and pairs of characters where no spaces divide words."""

from itertools import groupby, pairwise

import regex

from unblank.metrics.words import is_without_spaces, split_words

__all__ = ["WORDS", "search_words"]

WORDS = "words and character pairs, 1"
"""Name of this way to divide a text; an index of another one cannot be searched."""

_BETWEEN = regex.compile(r"[\p{P}\p{Z}\p{S}\s]+")


def search_words(text: str) -> list[str]:
    """Return the words of a text in lower case, and of text without spaces all pairs of neighbours.

    A character that stands alone between marks or other words is a word.

    Example:
        >>> search_words("東京タワーは Tokyo Tower.")
        ['東京', '京タ', 'タワ', 'ワー', 'ーは', 'tokyo', 'tower']
    """
    found: list[str] = []
    for part in _BETWEEN.split(text):
        for is_unspaced, run in groupby(split_words(part), key=lambda w: is_without_spaces(w[0])):
            words = list(run)
            pairs = [a + b for a, b in pairwise(words)]
            found += pairs if is_unspaced and pairs else words
    return found
