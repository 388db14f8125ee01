"""Scores of answers to questions about a passage: the official rules of SQuAD and MLQA.

SQuAD v1.1 (also XQuAD, and TyDiQA-GoldP in XTREME) knows English articles and words between
spaces; so an answer in Chinese or Thai is one word, and its F1 is its exact match. MLQA's rules
follow the language of the passage. Both are kept to the letter, with what is odd in them. The F1 of
characters is our own, for scripts without spaces. Values are percentages.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

__all__ = [
    "MLQA_LANGUAGES",
    "AnswerRules",
    "answer_f1",
    "answer_is_exact",
    "character_f1",
]

AnswerRules = Literal["squad", "mlqa"]
"""Whose rules make words of an answer."""

_ARTICLES = {
    "ar": re.compile(r"\sال^|ال"),  # noqa: RUF001  # its first part never matches
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "hi": None,
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "zh": None,
}
MLQA_LANGUAGES = tuple(_ARTICLES)
"""The languages for which MLQA has rules."""

_IDEOGRAPH = re.compile("([\u4e00-\u9fa5])")
"""What MLQA takes for a Chinese word: not the later blocks, not the ideographic zero."""


def answer_words(text: str, rules: AnswerRules = "squad", language: str = "en") -> list[str]:
    """Return the words of an answer as they are compared.

    Args:
        text: an answer.
        rules: whose.
        language: code of the passage's language, for MLQA.

    Raises:
        ValueError: MLQA has no rules for the language.

    Example:
        >>> answer_words("The U.S. (1904)"), answer_words("北京市(1904 年)", "mlqa", "zh")
        (['us', '1904'], ['北', '京', '市', '1904', '年'])
    """
    if rules == "squad":
        plain = "".join(one for one in text.lower() if one not in string.punctuation)
        return re.sub(_ARTICLES["en"] or "", " ", plain).split()
    if language not in _ARTICLES:
        raise ValueError(
            f"MLQA has no rules for answers in {language or 'an unknown language'!r}, only for "
            f"{', '.join(MLQA_LANGUAGES)}: choose the rules squad"
        )
    plain = "".join(one for one in text.lower() if not _is_punctuation(one))
    articles = _ARTICLES[language]
    plain = plain if articles is None else articles.sub(" ", plain)
    return (_IDEOGRAPH.sub(r" \1 ", plain) if language == "zh" else plain).split()


def answer_f1(
    answer: str, right: Sequence[str], rules: AnswerRules = "squad", language: str = "en"
) -> float:
    """Return the F1 of the words that an answer shares with the right one that fits best.

    It is 0 where nothing is shared, also if both have no word.

    Args:
        answer: what was answered.
        right: the right answers, at least one.
        rules: whose rules make words.
        language: as for `answer_words`.
    """
    words = partial(answer_words, rules=rules, language=language)
    return _best_f1(answer, right, words)


def answer_is_exact(
    answer: str, right: Sequence[str], rules: AnswerRules = "squad", language: str = "en"
) -> float:
    """Return 100 if an answer has the words of a right one, else 0; arguments as `answer_f1`."""
    words = answer_words(answer, rules, language)
    return 100.0 * any(words == answer_words(one, rules, language) for one in right)


def character_f1(answer: str, right: Sequence[str]) -> float:
    """Return the F1 of the characters that an answer shares with the right one that fits best.

    In lower case and Unicode's compatibility form (NFKC), without spaces, punctuation and
    invisible characters. Not an official score.

    Example:
        >>> character_f1("北京", ["北京市"]), answer_f1("北京", ["北京市"])
        (80.0, 0.0)
    """
    return _best_f1(answer, right, _characters)


def _best_f1(answer: str, right: Sequence[str], parts_of: Callable[[str], list[str]]) -> float:
    given = parts_of(answer)
    return max(_f1(given, parts_of(one)) for one in right)


def _f1(given: Sequence[str], right: Sequence[str]) -> float:
    num_shared = sum((Counter(given) & Counter(right)).values())
    return 200.0 * num_shared / (len(given) + len(right)) if num_shared else 0.0


def _characters(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).lower()
    return [one for one in plain if unicodedata.category(one)[0] not in "PZC"]


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] == "P" or character in string.punctuation
