"""Passages of a document: whole sentences up to a number of words."""

from collections.abc import Iterator
from unicodedata import category

import regex

from unblank.metrics.words import is_without_spaces, split_words

__all__ = ["cut_passages"]

_SENTENCE = regex.compile(
    # A full stop before a digit or a letter with case is inside a number or a name: 3.14, a.org.
    # Only the first of a run is tried, so that long runs (......5) take linear time.
    r".*?(?:(?<!\p{Sentence_Terminal})\p{Sentence_Terminal}++(?!(?<=\.)[\p{L}\p{N}--\p{Lo}])"
    r"[\p{Pe}\p{Pf}\"']*\s*"
    r"|\n\s*\n\s*|\Z)",
    regex.DOTALL | regex.V1,
)


def cut_passages(text: str, max_words: int) -> Iterator[str]:
    """Yield the passages of a text; together they hold every character but spaces at their ends.

    A passage ends with a sentence, unless a sentence has more words than a passage may have: that
    is cut between words. A paragraph of its own ends a sentence, too.

    Args:
        text: a document.
        max_words: of a passage; a character is a word where no spaces divide words.

    Example:
        >>> list(cut_passages("One two. Three four five. Six.", 4))
        ['One two.', 'Three four five. Six.']
    """
    passage, num_words = "", 0
    for piece in _pieces(text, max_words):
        num_more = len(split_words(piece))
        if num_words + num_more > max_words and passage.strip():
            yield passage.strip()
            passage, num_words = "", 0
        passage += piece
        num_words += num_more
    if passage.strip():
        yield passage.strip()


def _pieces(text: str, max_words: int) -> Iterator[str]:
    """Yield sentences, and parts of those that are too long."""
    for sentence in _SENTENCE.findall(text):
        if len(split_words(sentence)) <= max_words:
            yield sentence
            continue
        part, num_words = "", 0
        for word in regex.findall(r"\S+\s*|\s+", sentence):
            for bit in _of_word(word, max_words):
                num_more = len(split_words(bit))
                if part and num_words + num_more > max_words:
                    yield part
                    part, num_words = "", 0
                part += bit
                num_words += num_more
        yield part


def _of_word(word: str, max_words: int) -> Iterator[str]:
    """Yield what stands between spaces, word by word where it has too many."""
    if len(split_words(word)) <= max_words:
        yield word
        return
    start, is_open = 0, False
    for place, character in enumerate(word):
        kind = category(character)[0]
        stands_alone = kind in "LN" and is_without_spaces(character)
        if place and (stands_alone or (kind in "LN" and not is_open)):
            yield word[start:place]
            start = place
        is_open = not stands_alone and (kind in "LN" or (kind == "M" and is_open))
    yield word[start:]
