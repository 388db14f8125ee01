"""Language codes in any form, as one: `zh`, `zho`, `cmn` and `zho-CN` are the language `zh`.

The data is that of the package langcodes (the registry of IANA and CLDR's likely scripts), which
needs no network. Script and region stand in a code only where they are not the usual ones:
`zh-Hant`, `pt-PT`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from unblank.languages.scripts import RIGHT_TO_LEFT, WITHOUT_SPACES

if TYPE_CHECKING:
    import langcodes

__all__ = ["Language", "find_language", "language_name"]

_ALSO = {"jp": "ja"}
"""Codes that data sets use although they are none: the country in place of the language."""

_NO_LANGUAGE = (None, "und", "mul", "mis", "zxx")
"""Codes of BCP 47 for what is not one known language."""

_SCRIPTS = {"grc": "Grek", "orv": "Cyrl", "shi": "Latn"}
"""Scripts of texts where CLDR has another one: Ancient Greek (there Cypriot), Old Russian (there
Latin), Tashelhit (there Tifinagh)."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language as it is written.

    Attributes:
        code: the shortest BCP 47 code, such as `zh`, `zh-Hant` or `pt-PT`.
        base: the code without script and region.
        script: ISO 15924, such as `Latn`; `Jpan` and `Kore` are mixtures.
    """

    code: str
    base: str
    script: str

    @property
    def is_right_to_left(self) -> bool:
        """Whether lines run from right to left."""
        return self.script in RIGHT_TO_LEFT

    @property
    def has_spaces(self) -> bool:
        """Whether there are spaces between words."""
        return self.script not in WITHOUT_SPACES

    def __str__(self) -> str:
        return self.code


@cache
def find_language(code: str) -> Language:
    """Return the language that a code stands for.

    Args:
        code: of ISO 639 (two or three letters) or BCP 47, with `-` or `_`, in any case.

    Raises:
        ValueError: if there is no such language; codes that may be meant are offered.

    Example:
        >>> [find_language(code).code for code in ("zho-CN", "zh_TW", "swh", "jp", "eng-GB")]
        ['zh', 'zh-Hant', 'sw', 'ja', 'en-GB']
        >>> find_language("ur").is_right_to_left, find_language("th").has_spaces
        (True, False)
    """
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    plain = _ALSO.get(code.lower(), code)
    try:
        found = langcodes.Language.get(plain)
        is_known = found.is_valid() and found.language not in _NO_LANGUAGE
    except LanguageTagError:
        is_known = False
    if not is_known:
        raise ValueError(f"{code!r} is not the code of a language{_hint(code)}")
    found = langcodes.Language.get(langcodes.standardize_tag(found, macro=True))
    whole = found.maximize()
    return Language(
        code=_shortest(found, whole),
        base=str(found.language),
        script=found.script or _SCRIPTS.get(str(found.language)) or whole.script or "Latn",
    )


def language_name(code: str) -> str:
    """Return the English name of a language, as the registry of IANA has it.

    A code of private use has no name: it is returned itself.

    Raises:
        ValueError: as for `find_language`.

    Example:
        >>> language_name("deu"), language_name("zh-TW")
        ('German', 'Chinese (Hant)')
    """
    language = find_language(code)
    name = _names().get(language.base, language.base)
    more = language.code.removeprefix(language.base).strip("-")
    return f"{name} ({more})" if more else name


def _shortest(found: "langcodes.Language", whole: "langcodes.Language") -> str:
    """Return the first code that stands for the same language, script and region."""
    import langcodes

    base = str(found.language)
    for script, territory in ((None, None), (whole.script, None), (None, whole.territory)):
        short = langcodes.Language.make(language=base, script=script, territory=territory)
        if short.maximize() == whole or (found.territory is None and short.script == found.script):
            return short.to_tag()
    return found.to_tag()


@cache
def _names() -> dict[str, str]:
    """Return code -> name, without what the registry adds in parentheses."""
    from langcodes.registry_parser import parse_registry

    return {
        entry["Subtag"]: entry["Description"][0].partition(" (")[0]
        for entry in parse_registry()  # type: ignore[no-untyped-call]
        if entry["Type"] == "language" and ".." not in entry["Subtag"]
    }


def _hint(code: str) -> str:
    """Return what may be meant: a language by its name, of a country, or with a near code."""
    near = [*dict.fromkeys(_meant(code.strip()))][:3]
    shown = " or ".join(f"{one} ({language_name(one)})" for one in near)
    return f"; did you mean {shown}?" if near else ", such as en, deu or zh-Hant"


def _meant(code: str) -> Iterator[str]:
    from langcodes.data_dicts import LIKELY_SUBTAGS

    if likely := LIKELY_SUBTAGS.get(f"und-{code.upper()}"):
        yield find_language(likely.partition("-")[0]).code
    if len(code) > 3:
        by_name = {name.lower(): one for one, name in reversed(_names().items())}
        for name in get_close_matches(code.lower(), by_name, n=2, cutoff=0.8):
            yield by_name[name]
    main = code.replace("_", "-").partition("-")[0].lower()
    short = [one for one in _names() if len(one) == 2]
    yield from get_close_matches(main, short, n=2, cutoff=0.65)
