"""Scores language by language, and their mean with equal weight, as XTREME's tables have it.

A language with more examples counts no more than another one; pooling all examples would.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

__all__ = ["LanguageScores", "score_by_language"]


@dataclass(frozen=True, slots=True)
class LanguageScores:
    """The scores of examples in one language or several.

    Attributes:
        means: name -> mean over the languages.
        by_language: language -> name -> value; languages in order of appearance, one without a
            code is "".
    """

    means: Mapping[str, float]
    by_language: Mapping[str, Mapping[str, float]]

    def named(self, alone: Sequence[str] | None = None) -> dict[str, float]:
        """Return the means, and of several languages also their values, as `f1 de`.

        Args:
            alone: names of the scores that are given language by language; None for all.
        """
        found = dict(self.means)
        if len(self.by_language) > 1:
            for name in self.means if alone is None else alone:
                for language, values in self.by_language.items():
                    found[f"{name} {language or '(no language)'}"] = values[name]
        return found


def score_by_language(
    languages: Sequence[str], score: Callable[[list[int]], Mapping[str, float]]
) -> LanguageScores:
    """Return the scores of each language and their means.

    Args:
        languages: code of each example's language, at least one.
        score: indices of some examples -> their scores by name, the same names for all.

    Example:
        >>> right = [100.0, 0.0, 90.0]
        >>> found = score_by_language(
        ...     ["en", "en", "de"], lambda some: {"f1": fmean(right[n] for n in some)}
        ... )
        >>> found.means, found.by_language
        ({'f1': 70.0}, {'en': {'f1': 50.0}, 'de': {'f1': 90.0}})
    """
    groups: dict[str, list[int]] = {}
    for index, language in enumerate(languages):
        groups.setdefault(language, []).append(index)
    found = {language: dict(score(indices)) for language, indices in groups.items()}
    names = next(iter(found.values()))
    means = {name: fmean(values[name] for values in found.values()) for name in names}
    return LanguageScores(means, found)
