"""Scripts: which run from right to left, which put no spaces between words, and what is in one."""

import unicodedata
from functools import cache
from typing import Any

__all__ = ["RIGHT_TO_LEFT", "WITHOUT_SPACES", "share_in_script"]

RIGHT_TO_LEFT = frozenset(
    {"Arab", "Aran", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Mand", "Samr", "Rohg", "Mend"}
)
WITHOUT_SPACES = frozenset(
    {"Hani", "Hans", "Hant", "Jpan", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"}
)

_MIXED = {
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
}
"""Scripts by which languages are labelled, and those that Unicode gives their letters."""


def share_in_script(text: str, script: str) -> float | None:
    """Return the share of the letters of a text that are in a script; None if it has no letter.

    Args:
        text: any text; digits, marks and punctuation do not count.
        script: ISO 15924, such as `Latn` or `Jpan`.

    Example:
        >>> share_in_script("Kant-Gesellschaft 1904", "Latn"), share_in_script("1904", "Latn")
        (1.0, None)
        >>> share_in_script("東京タワー", "Jpan"), share_in_script("東京 Tower", "Jpan")
        (1.0, 0.2857142857142857)
    """
    letters = [one for one in text if unicodedata.category(one) in ("Lu", "Ll", "Lt", "Lo")]
    if not letters:
        return None
    pattern = _letters_of(script)
    return sum(pattern.match(letter) is not None for letter in letters) / len(letters)


@cache
def _letters_of(script: str) -> Any:
    import regex

    scripts = "".join(rf"\p{{Script={one}}}" for one in _MIXED.get(script, (script,)))
    return regex.compile(f"[{scripts}]")
