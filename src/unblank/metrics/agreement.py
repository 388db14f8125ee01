"""Agreement between languages: how often the same question gets the same answer."""

from collections.abc import Hashable, Mapping
from statistics import fmean
from typing import TypeVar

__all__ = ["agreement_of_languages"]

Asked = TypeVar("Asked", bound=Hashable)


def agreement_of_languages(
    answers: Mapping[str, Mapping[Asked, Hashable]],
) -> dict[str, tuple[float, int]]:
    """Return for each language the share of equal answers, and the number of comparisons.

    The share is the mean over the other languages of the share of the questions asked in both that
    have the same answer. A language that shares no question with another one is left out.

    Args:
        answers: language -> question -> answer, both the same in all languages.

    Example:
        >>> agreement_of_languages({"de": {1: "a", 2: "b"}, "fr": {1: "a", 2: "c", 3: "d"}})
        {'de': (0.5, 2), 'fr': (0.5, 2)}
    """
    found = {}
    for language, own in answers.items():
        shares, count = [], 0
        for other, theirs in answers.items():
            both = own.keys() & theirs.keys() if other != language else set()
            if both:
                shares.append(fmean(own[question] == theirs[question] for question in both))
                count += len(both)
        if shares:
            found[language] = fmean(shares), count
    return found
