"""The languages of an entry of text pairs: `ENTRY@en-de`, `ENTRY@sw`, or `{lang}` in it.

`{lang}` stands for the code in the name of each file, in paths, fields and behind the `@` alike, so
that `mafand/en-{lang}.jsonl:en:{lang}@en-{lang}` is an entry for each file.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unblank.data.language_files import files_by_code
from unblank.data.remote import split_entry
from unblank.languages import language_codes

__all__ = ["LanguageEntry", "language_entries"]

_EACH = "{lang}"
_LANGUAGES = re.compile(r"(.+)@([A-Za-z{][A-Za-z0-9_{}-]*)")


@dataclass(frozen=True, slots=True)
class LanguageEntry:
    """An entry without its languages.

    Attributes:
        entry: as `unblank.finetuning.pairs.text` reads it.
        source: code of the sources' language; empty if it is not known.
        target: code of the targets' language; likewise.
    """

    entry: str
    source: str = ""
    target: str = ""

    @property
    def languages(self) -> str:
        """Both as a direction, or one that is the same; empty if they are not known."""
        return self.source if self.source == self.target else f"{self.source}-{self.target}"


def language_entries(entries: Sequence[str]) -> list[LanguageEntry]:
    """Return some entries of `data.train` or `data.validation`, each with its languages.

    Raises:
        FileNotFoundError: an entry with `{lang}` matches no file.
        ValueError: a code of no language, or more than two.
    """
    return [one for entry in entries for one in _expanded(entry)]


def _expanded(entry: str) -> Iterator[LanguageEntry]:
    match = None if Path(entry).exists() else _LANGUAGES.fullmatch(entry)
    plain, codes = (match[1], match[2]) if match else (entry, "")
    if _EACH not in plain:
        yield _with_codes(plain, codes, entry)
        return
    parts = split_entry(plain)
    path = next((part for part in parts if _EACH in part), plain)
    for code in files_by_code(path).values():
        own = plain.replace(_EACH, code)
        yield _with_codes(own, (codes or _EACH).replace(_EACH, code), entry)


def _with_codes(plain: str, codes: str, entry: str) -> LanguageEntry:
    if not codes:
        return LanguageEntry(plain)
    try:
        found = language_codes(codes)
    except ValueError as error:
        raise ValueError(f"{entry}: {error}") from error
    if len(found) > 2:
        raise ValueError(
            f"{entry}: {codes!r} names {len(found)} languages: give one, or SOURCE-TARGET"
        )
    return LanguageEntry(plain, found[0], found[-1])
