"""One written form for texts that are compared: what looks the same must count as the same.

Unicode writes many letters in two ways (NFC puts them together), and tokenizers that normalise by
NFKC take the vowel AM of Thai and Lao apart, which NFC leaves so. Nothing else is changed: marks
are part of a word (Japanese ga is not ka), and texts that are in NFC stay as they are.
"""

import re
import unicodedata

__all__ = ["written_form"]

_AM = (
    (re.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32"), "\\1\u0e33"),  # Thai, perhaps with a tone mark
    (re.compile("\u0ecd([\u0ec8-\u0ecb]?)\u0eb2"), "\\1\u0eb3"),  # Lao
)
"""The parts of the vowel AM, and the one letter that they are."""


def written_form(text: str) -> str:
    """Return the text in the form in which it is compared.

    Example:
        >>> written_form("Cafe\u0301") == "Caf\u00e9", written_form("\u0e4d\u0e32") == "\u0e33"
        (True, True)
    """
    composed = unicodedata.normalize("NFC", text)
    for parts, letter in _AM:
        composed = parts.sub(letter, composed)
    return composed
