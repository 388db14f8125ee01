"""The files of a split in all languages, each with its own."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from unblank.data.language_files import LanguageFile
from unblank.languages import find_language

__all__ = ["UnknownLanguageError", "in_languages"]


class UnknownLanguageError(ValueError):
    """No file is in a language that is wanted."""


def in_languages(
    paths: Sequence[Path], pattern: str, wanted: Collection[str] = ()
) -> list[LanguageFile]:
    """Return files with the languages that their names tell.

    Args:
        paths: found for the pattern, with `*` in place of `{lang}`.
        pattern: path with `{split}`, and perhaps `{lang}`; without it no name tells a language.
        wanted: codes of the languages to keep; none keeps all.

    Raises:
        UnknownLanguageError: no file is in a language that is wanted.
        ValueError: a name has a code of no language.

    Example:
        >>> in_languages([Path("a/val.est.jsonl.gz")], "a/{split}.{lang}")[0].language
        'et'
    """
    if "{lang}" not in pattern:
        return [LanguageFile(path) for path in paths]
    parts = re.split(r"(\{split\}|\{lang\})", pattern.rpartition("/")[2])
    inner = {"{split}": r"[^/.]+", "{lang}": r"(?P<lang>[^/.]+)"}
    name = re.compile("".join(inner.get(part, re.escape(part)) for part in parts) + r"\..*")
    codes = {find_language(code).code for code in wanted}
    found = []
    for path in paths:
        match = name.fullmatch(path.name)
        language = find_language(match["lang"]).code if match else ""
        if not codes or language in codes:
            found.append(LanguageFile(path, language))
    if not found:
        raise UnknownLanguageError(
            f"no file of {pattern} is in {', '.join(sorted(codes))}: there are "
            f"{', '.join(path.name for path in paths)}"
        )
    return found
