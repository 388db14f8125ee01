"""From which language into which: `en-de`, with codes of any form.

A code may have a script or a region of its own, `zh-Hant`, `pt-PT` or `es-419`; these begin with a
capital letter or are a number, so that they are not taken for the next language: `zh-Hant-en`.
"""

from dataclasses import dataclass

from unblank.languages.codes import find_language

__all__ = ["ANY_LANGUAGE", "Direction", "find_direction", "language_codes"]

ANY_LANGUAGE = "*"
"""Stands for every language in a direction."""


@dataclass(frozen=True, slots=True)
class Direction:
    """From which language into which, as codes."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}-{self.target}"


def language_codes(text: str) -> list[str]:
    """Return the codes that hyphens divide a text into, each in its usual form.

    Raises:
        ValueError: one is of no language.

    Example:
        >>> language_codes("eng-zh-Hant"), language_codes("pt-PT"), language_codes("*-deu")
        (['en', 'zh-Hant'], ['pt-PT'], ['*', 'de'])
    """
    codes: list[str] = []
    for part in text.split("-"):
        if codes and (part[:1].isupper() or part.isdecimal()):
            codes[-1] += f"-{part}"
        else:
            codes.append(part)
    return [code if code == ANY_LANGUAGE else find_language(code).code for code in codes]


def find_direction(text: str) -> Direction:
    """Return the direction that a text names.

    Raises:
        ValueError: if it does not have two codes of languages, or `*`.

    Example:
        >>> find_direction("en-deu")
        Direction(source='en', target='de')
    """
    try:
        codes = language_codes(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a direction of translation: {error}") from error
    if len(codes) != 2:
        raise ValueError(
            f"{text!r} is not a direction of translation: give SOURCE-TARGET with codes of "
            "languages, such as en-de"
        )
    return Direction(*codes)
