"""Where a written answer stands in its passage, whatever its tokenizer changed about the letters.

Tokenizers that normalise (NFKC, lower case) write back other characters than they read: a Thai
answer that was copied right would be wrong by the official scores. So an answer is looked up in
the passage without regard to such differences and to spaces, and the passage's own text is taken.
"""

import unicodedata
from functools import lru_cache
from typing import Any

__all__ = ["find_in_context"]


def find_in_context(answer: str, context: str) -> tuple[int, int] | None:
    """Return first character and end of an answer in a passage; None if it is not there.

    The exact text is preferred; else the first place that differs in compatibility form (NFKC),
    case and spaces alone.
    """
    plain = answer.strip()
    if not plain:
        return None
    exact = context.find(plain)
    if exact >= 0:
        return exact, exact + len(plain)
    wanted, _ = _folded(plain)
    folded, places = _folded(context)
    first = folded.find(wanted)
    if not wanted or first < 0:
        return None
    return places[first][0], places[first + len(wanted) - 1][1]


@lru_cache(maxsize=64)
def _folded(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without differences of form, and where each of its characters is from."""
    letters: list[str] = []
    places: list[tuple[int, int]] = []
    for match in _clusters().finditer(text):
        form = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", match[0]).casefold())
        for letter in form:
            if not letter.isspace():
                letters.append(letter)
                places.append(match.span())
    return "".join(letters), places


@lru_cache(maxsize=1)
def _clusters() -> Any:
    """Return what matches a letter with its marks: across these, NFKC changes nothing."""
    import regex

    return regex.compile(r"\X")
