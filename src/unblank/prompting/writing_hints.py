"""Hints of what to write: `{hint:summary}` in a text is the word for it in the target's language.

So one template serves many languages: `{article} {hint:summary}: [sMASK]` asks for a Chinese
summary of an English article by Chinese words. The words are in `writing_hints.yaml`; those of
English are what MultiGLM's program writes, where it has some.
"""

import re
from functools import cache
from pathlib import Path

from unblank.languages import find_language
from unblank.untrusted.yaml_text import read_yaml

__all__ = ["check_hints", "with_hints"]

_HINT = re.compile(r"\{hint:([^{}]*)\}")
_FILE = Path(__file__).with_name("writing_hints.yaml")


def check_hints(template: str) -> None:
    """Raise ValueError if a text has a hint that there is in no language."""
    for name in _HINT.findall(template):
        _words_of(name)


def with_hints(template: str, language: str, *, to_name_it: str = "") -> str:
    """Return a text with the words of a language in place of `{hint:NAME}`.

    Args:
        template: any text.
        language: code of the language to write in; empty if it is not known.
        to_name_it: how the user can name the language, for the message that it is not known; empty
            if there is no way.

    Raises:
        ValueError: an unknown hint, a language that lacks it, or none where one is needed; or hints
            and no field beside them, as the words alone would be taken for the name of one.

    Example:
        >>> with_hints("{text} {hint:summary}: [sMASK]", "zh")
        '{text} \u4e2d\u6587\u6458\u8981: [sMASK]'
    """
    text = _HINT.sub(lambda match: _word(match[1], language, to_name_it), template)
    if text != template and "{" not in text:
        raise ValueError(
            f"{template!r} has a hint and no field: every text would be the same; name a field in "
            "braces, such as {text}"
        )
    return text


def _word(name: str, language: str, to_name_it: str) -> str:
    words = _words_of(name)
    if not language:
        other_way = f", or {to_name_it}" if to_name_it else ""
        raise ValueError(
            f"the hint {name!r} is a word of the language to write in, which is unknown here: "
            f"write the word itself in place of it{other_way}"
        )
    code = next((one for one in (language, find_language(language).base) if one in words), None)
    if code is None:
        raise ValueError(
            f"the hint {name!r} has no word in {language}: write the word itself in place of it, "
            f"or choose from {', '.join(words)}"
        )
    return words[code]


def _words_of(name: str) -> dict[str, str]:
    """Return code -> word of a hint."""
    known = _hints()
    if name not in known:
        raise ValueError(f"there is no hint {name!r}: choose from {', '.join(known)}")
    return known[name]


@cache
def _hints() -> dict[str, dict[str, str]]:
    """Return name of a hint -> code -> word."""
    return dict(read_yaml(_FILE))
