"""In which of some languages a text is, judged by texts of these languages: naive Bayes on letters.

Published identifiers know about a hundred languages, and not Ewe or Igbo; the sentences of a test
set are in every language that its answers may be in. scikit-learn computes it (extra `eval`).
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

__all__ = ["LanguageIdentifier", "identifier_accuracy"]

_NUM_FEATURES = 2**16
_LONGEST_PART = 4
"""Letters in the longest part of a word that is counted."""
_MOST_TEXTS = 1000
"""Texts of a language that are read: more change nothing."""
_MOST_JUDGED = 400
"""Texts of a language by which an identifier is judged."""
_SMOOTHING = 0.01


class LanguageIdentifier:
    """Tells which of some languages a text is in.

    Args:
        texts: code of each language -> texts in it; two languages or more, a text or more of each.

    Raises:
        ValueError: there are fewer.
        ImportError: scikit-learn is not installed.

    Example:
        >>> known = {"en": ["the cat saw the dog"], "de": ["die Katze sah den Hund"]}
        >>> LanguageIdentifier(known).identify(["the dog", "der Hund"])
        ['en', 'de']
    """

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        if len(texts) < 2 or not all(texts.values()):
            raise ValueError(
                "language identification needs texts in at least two languages, got "
                f"{ {code: len(some) for code, some in texts.items()} }"
            )
        from sklearn.naive_bayes import MultinomialNB

        pairs = [(text, code) for code, some in texts.items() for text in some[:_MOST_TEXTS]]
        self._model = MultinomialNB(alpha=_SMOOTHING, fit_prior=False)
        self._model.fit(_parts([text for text, _ in pairs]), [code for _, code in pairs])

    def identify(self, texts: Sequence[str]) -> list[str]:
        """Return the code of the likeliest language of each text; empty without any letter."""
        if not texts:
            return []
        found = self._model.predict(_parts(texts))
        return [
            str(code) if any(map(str.isalpha, text)) else ""
            for text, code in zip(texts, found, strict=True)
        ]


def identifier_accuracy(texts: Mapping[str, Sequence[str]]) -> float | None:
    """Return in how many percent of texts an identifier that has not seen them finds the language.

    Each half of the texts is judged by an identifier of the other half, and languages count alike.

    Args:
        texts: code of each language -> texts in it.

    Returns:
        None if a language has fewer than two texts.
    """
    if len(texts) < 2 or min(map(len, texts.values())) < 2:
        return None
    halves = [
        {code: some[start:_MOST_JUDGED:2] for code, some in texts.items()} for start in (0, 1)
    ]
    shares = []
    for known, asked in (halves, reversed(halves)):
        identifier = LanguageIdentifier(known)
        for code, some in asked.items():
            shares.append(100.0 * fmean(one == code for one in identifier.identify(some)))
    return fmean(shares)


def _parts(texts: Sequence[str]) -> Any:
    """Return how often each part of a word occurs in each text, a sparse matrix."""
    from sklearn.feature_extraction.text import HashingVectorizer

    counting = HashingVectorizer(
        analyzer="char_wb", ngram_range=(1, _LONGEST_PART), n_features=_NUM_FEATURES,
        alternate_sign=False, norm=None,
    )  # fmt: skip
    return counting.transform(texts)
