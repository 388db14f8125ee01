"""SentencePiece's table of replaced characters, applied the way SentencePiece applies it.

The tokenizers library looks a whole grapheme up and drops what follows the first match, so letters
with two marks lose one (Yoruba), and pairs of more than five bytes are not composed (Burmese). Here
marks are composed first and every character is then looked up alone.
"""

import sys
import unicodedata
from functools import cache

from tokenizers import Regex, normalizers

__all__ = ["charsmap_normalizers"]

_BREAK = "\x01"
"""Ends a grapheme and stops marks from being reordered; the table removes it from text anyway."""
_ABOVE, _VIRAMA, _NUKTA = 230, 9, 7
"""Classes of marks that real texts put in another order than Unicode's canonical one."""


def charsmap_normalizers(charsmap: bytes) -> list[normalizers.Normalizer]:
    """Return steps that do what SentencePiece does with its compiled table.

    Args:
        charsmap: of the model file; empty for no such step.
    """
    if not charsmap:
        return []
    return [
        normalizers.Replace(Regex(_kept_order()), _BREAK),
        normalizers.NFC(),
        normalizers.Replace(Regex(r"(?=\p{M})"), _BREAK),
        normalizers.Precompiled(charsmap),
        normalizers.Replace(_BREAK, ""),
    ]


@cache  # a tenth of a second, for all characters there are
def _kept_order() -> str:
    """Return a pattern of the places between marks that canonical order would swap."""
    classes: dict[int, list[str]] = {}
    for code in range(sys.maxunicode + 1):
        if number := unicodedata.combining(chr(code)):
            classes.setdefault(number, []).append(f"\\x{{{code:X}}}")
    above, virama, nukta = classes[_ABOVE], classes[_VIRAMA], classes[_NUKTA]
    lower = [mark for number, marks in classes.items() if number < _ABOVE for mark in marks]
    pairs = ((above, lower), (virama, nukta))
    return "|".join(f"(?<=[{''.join(a)}])(?=[{''.join(b)}])" for a, b in pairs)
