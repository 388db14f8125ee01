"""Text by language: entries `PATH[:FIELD][@LANGUAGE]`, and one source for each language.

`{lang}` in a path stands for the code of each file, as a field for every field that is named by a
code, and as a language for what the field `lang` of each record says. All files of a language make
one source, whatever entries name them; an entry of no language is a source of its own. A file that
holds several languages is first divided into one file for each, in a folder named by its content.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unblank.atomic_folders import new_folder
from unblank.data.fields import field_text
from unblank.data.files import FileSearch, find_files
from unblank.data.hold_out import HashPart
from unblank.data.language_files import LANGUAGE_FIELD, files_by_language
from unblank.data.records import read_records
from unblank.data.sources import TextFiles, TextUnit
from unblank.data.text_file_cache import file_hash
from unblank.languages import find_language

__all__ = [
    "LanguageSource",
    "TextEntry",
    "code_or_nothing",
    "find_entry_files",
    "open_language_sources",
    "parse_entry",
]

_EACH = "{lang}"
_LANGUAGE = re.compile(r"(.+)@(\{lang\}|[A-Za-z][A-Za-z0-9_-]*)")
_FIELD = re.compile(r"(.+):([^/:\\]+)")
_NOT_LANGUAGES = frozenset({"doc", "id"})
"""Fields that are seldom meant as the codes that they also are: Northern Dong and Indonesian (which
such data sets call `ind`)."""


@dataclass(frozen=True, slots=True)
class TextEntry:
    """An entry taken apart.

    Attributes:
        path: file, folder or glob, perhaps with `{lang}`.
        text_field: that holds the text; empty for the usual one, `{lang}` for one a language.
        language: code; empty if nothing says it, `{lang}` for what each record says.
    """

    path: str
    text_field: str = ""
    language: str = ""

    @property
    def has_languages(self) -> bool:
        """Whether anything says a language."""
        return bool(self.language) or self.text_field == _EACH or _EACH in self.path

    @property
    def is_divided(self) -> bool:
        """Whether one of its files holds several languages."""
        return _EACH in (self.text_field, self.language)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSource:
    """Files that are one source of text.

    Attributes:
        name: code of the language, or the entry if it has none.
        language: code; empty if it is not known.
        paths: of the files.
        fields: of the text of each file; empty if the usual one is read of all.
    """

    name: str
    language: str = ""
    paths: tuple[Path, ...]
    fields: tuple[str, ...] = ()

    def texts(
        self, *, text_field: str, text_unit: TextUnit, part: HashPart | None = None
    ) -> TextFiles:
        """Return the documents; arguments as for `TextFiles`."""
        return TextFiles(
            paths=self.paths,
            text_field=text_field,
            text_unit=text_unit,
            fields=self.fields,
            part=part,
        )


def parse_entry(entry: str) -> TextEntry:
    """Return the parts of an entry.

    Raises:
        ValueError: a code that is of no language, or two ways to say the language.

    Example:
        >>> parse_entry("bible/{lang}.tsv.gz:2")
        TextEntry(path='bible/{lang}.tsv.gz', text_field='2', language='')
        >>> parse_entry("pairs.jsonl:eng@eng").language
        'en'
    """
    path, name, language = entry, "", ""
    if not Path(path).exists() and (match := _LANGUAGE.fullmatch(path)):
        path = match[1]
        language = _EACH if match[2] == _EACH else find_language(match[2]).code
    if not Path(path).exists() and (match := _FIELD.fullmatch(path)):
        path, name = match[1], match[2]
    if [_EACH in path, name == _EACH, bool(language)].count(True) > 1:
        raise ValueError(
            f"{entry} says the language twice: in the path, as the field or after @; leave one"
        )
    return TextEntry(path, name, language)


def open_language_sources(
    entries: Sequence[str], *, text_field: str, cache_dir: Path
) -> list[LanguageSource]:
    """Return the sources of some entries: those without a language, and one for each language.

    They stand in the order in which the entries name them. A file is read for the first entry that
    names it with a field.

    Args:
        entries: `PATH[:FIELD][@LANGUAGE]`.
        text_field: the field where an entry names none.
        cache_dir: folder that files are divided in.

    Raises:
        FileNotFoundError: as for `find_files`.
        ValueError: as for `find_files` and `parse_entry`, or a record that is to be divided has no
            language or no text.
    """
    search = FileSearch()
    plain: dict[str, tuple[str, list[tuple[Path, str]]]] = {}
    for entry in entries:
        parts = parse_entry(entry)
        for path, language, name in _files(parts, search, text_field, cache_dir):
            key = language or entry
            plain.setdefault(key, (language, []))[1].append((path, name))
    search.warn()
    return [
        LanguageSource(
            name=key,
            language=language,
            paths=tuple(path for path, _ in files),
            fields=tuple(name or text_field for _, name in files)
            if any(name for _, name in files)
            else (),
        )
        for key, (language, files) in plain.items()
    ]


def find_entry_files(entries: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of some entries, each once; errors as for the functions above."""
    paths = [parse_entry(entry).path for entry in entries]
    return find_files(
        [one for path in paths for one in (files_by_language(path) if _EACH in path else [path])]
    )


def code_or_nothing(name: str) -> str:
    """Return the code of the language that the name of a field is; empty if it is none."""
    if name in _NOT_LANGUAGES:
        return ""
    try:
        return find_language(name).code
    except ValueError:
        return ""


def _files(
    entry: TextEntry, search: FileSearch, text_field: str, cache_dir: Path
) -> Iterator[tuple[Path, str, str]]:
    """Yield (file, code of its language, field of its text) of an entry."""
    fields = (entry.text_field,) if entry.text_field else ()
    if _EACH in entry.path:
        for name, code in files_by_language(entry.path).items():
            # An entry before it may have named one of them, with a better code than its name has.
            for found in search.new_files_of(name, fields):
                yield found, code, entry.text_field
        return
    for path in search.files_of(entry.path, fields):
        if entry.is_divided:
            name = entry.text_field or text_field
            for found in sorted(_divided(path, name, cache_dir).glob("*.jsonl")):
                yield found, found.name.removesuffix(".jsonl"), "text"
        else:
            yield path, entry.language, entry.text_field


def _divided(path: Path, name: str, cache_dir: Path) -> Path:
    """Return the folder with one file for each language of a file."""
    content = file_hash(path)[:24]
    about = hashlib.blake2b(f"{content} {path.name} {name}".encode(), digest_size=12).hexdigest()
    folder = cache_dir / f"languages-{about}"
    if folder.exists():
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    try:
        with new_folder(folder) as building:
            _divide(path, name, building)
    except OSError:
        # If another process was first, its folder is as good.
        if not folder.exists():
            raise
    return folder


def _divide(path: Path, name: str, building: Path) -> None:
    """Write the texts of each language into a file of its own."""
    with ExitStack() as stack:
        files: dict[str, IO[str]] = {}
        for code, text in _texts_by_language(path, name):
            if code not in files:
                opened = (building / f"{code}.jsonl").open("w", encoding="utf-8")
                files[code] = stack.enter_context(opened)
            files[code].write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    if not files:
        raise ValueError(f"{path} has no text in any language: nothing to divide")


def _texts_by_language(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield (code, text) of each record, or of each of its fields that is named by a code."""
    codes: dict[str, str] = {}
    for place, record in read_records(path):
        if name != _EACH:
            yield _language_of(record.get(LANGUAGE_FIELD), place), field_text(place, record, name)
            continue
        for key, text in record.items():
            if key not in codes:
                codes[key] = code_or_nothing(key)
            if codes[key] and isinstance(text, str):
                yield codes[key], text


def _language_of(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise ValueError(
            f"{place}: the field {LANGUAGE_FIELD!r} must hold the code of the record's language, "
            f"got {value!r}"
        )
    try:
        return find_language(value).code
    except ValueError as error:
        raise ValueError(f"{place}: field {LANGUAGE_FIELD!r}: {error}") from error
