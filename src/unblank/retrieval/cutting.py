"""Passages of a document: whole sentences up to a number of words."""

from collections.abc import Iterator

import regex

from unblank.metrics.words import split_words

__all__ = ["cut_passages"]

_SENTENCE = regex.compile(
    r".*?(?:[\p{Sentence_Terminal}]+[\p{Pe}\p{Pf}\"']*\s*|\n\s*\n\s*|\Z)", regex.DOTALL
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
    """Yield what stands between spaces, cut by characters where it has too many words."""
    while len(split_words(word)) > max_words:
        end = max_words  # a word of a script without spaces is a character with its marks
        while len(split_words(word[: end + 1])) <= max_words:
            end += 1
        yield word[:end]
        word = word[end:]
    yield word
