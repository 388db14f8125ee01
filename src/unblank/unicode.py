"""Checks of arguments that must be valid Unicode text.

Python's strings may hold half of a surrogate pair: from JSON with half an escape, or from a command
line that is not UTF-8. No file and no tokenizer can hold that.
"""

from collections.abc import Iterable

__all__ = ["require_texts", "require_unicode"]

_AROUND = 20
"""Characters that are shown on each side."""


def require_unicode(text: object, name: str) -> None:
    """Refuse what is no text, and a text with a lone surrogate.

    Args:
        text: what should be a string.
        name: what it is, for the message, such as "the text".

    Raises:
        TypeError: it is no string.
        ValueError: it holds a lone surrogate; the message says which, and where.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a text, got {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        place = error.start
        shown = text[max(0, place - _AROUND) : place + _AROUND]
        raise ValueError(
            f"{name} holds U+{ord(text[place]):04X}, half of a surrogate pair and no character, in "
            f"{shown!r}: remove it, or read the text again as UTF-8"
        ) from error


def require_texts(value: object, name: str) -> list[str]:
    """Return a text, or several, as a list.

    Raises:
        TypeError: it is something else.
        ValueError: a text holds a lone surrogate.
    """
    if isinstance(value, str):
        require_unicode(value, name)
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise TypeError(f"{name} must be a text or a list of texts, got {value!r}")
    texts = list(value)
    for place, text in enumerate(texts):
        require_unicode(text, f"{name} {place}")
    return texts
