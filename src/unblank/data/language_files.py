"""Files whose language is known: `FILE@xx`, or `{lang}` in a path in place of its code.

What is written so is found as ever (`unblank.data.files`); the codes may have any form.
"""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unblank.data.files import find_files
from unblank.data.remote import data_path
from unblank.languages import find_language

__all__ = [
    "LANGUAGE_FIELD",
    "LanguageFile",
    "files_by_code",
    "files_by_language",
    "find_language_files",
    "language_of_record",
]

LANGUAGE_FIELD = "lang"
"""Field of a record that names its language."""

_IN_PATH = "{lang}"
_CODE = re.compile(r"(.+)@([A-Za-z][A-Za-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class LanguageFile:
    """A file, and the language of its records.

    Attributes:
        path: of the file.
        language: code; empty if only the records can tell.
    """

    path: Path
    language: str = ""


def find_language_files(entries: str | Sequence[str]) -> tuple[LanguageFile, ...]:
    """Return the files that some entries stand for, each once, with their languages.

    Args:
        entries: files, folders or globs as for `find_files`; with `@xx` at the end all files of an
            entry are in this language, `{lang}` in a path stands for the code of each file.

    Raises:
        FileNotFoundError: if an entry matches no file.
        ValueError: a code that is of no language, or as for `find_files`.
    """
    asked = [entries] if isinstance(entries, str) else list(entries)
    plain: list[str] = []
    languages: dict[Path, str] = {}
    for entry in asked:
        if _IN_PATH in entry:
            found = files_by_language(entry)
        elif (match := _CODE.fullmatch(entry)) and not Path(entry).exists():
            language = find_language(match[2]).code
            found = dict.fromkeys(map(str, find_files(match[1])), language)
        else:
            found = {entry: ""}
        plain += found
        said = {data_path(path): language for path, language in found.items() if language}
        languages = said | languages  # of a file that several entries name, the first one counts
    return tuple(LanguageFile(path, languages.get(path, "")) for path in find_files(plain))


def language_of_record(value: object, of_file: str) -> str:
    """Return the code of a record's language.

    Args:
        value: of its field `lang`; None if there is none.
        of_file: code that its file has, or nothing.

    Raises:
        ValueError: a code that is of no language, or two different languages.
    """
    if value is None or value == "":
        return of_file
    if not isinstance(value, str):
        raise ValueError(f"field {LANGUAGE_FIELD!r} must be the code of a language, got {value!r}")
    try:
        language = find_language(value)
    except ValueError as error:
        raise ValueError(f"field {LANGUAGE_FIELD!r}: {error}") from error
    if of_file and find_language(of_file).base != language.base:
        raise ValueError(
            f"field {LANGUAGE_FIELD!r} is {value!r}, but the file is said to be in {of_file!r}"
        )
    return language.code


def files_by_language(entry: str) -> dict[str, str]:
    """Return path -> code of the language, of the files of a path with `{lang}`.

    Raises:
        FileNotFoundError: no file matches.
        ValueError: the code of one is of no language.
    """
    return {path: find_language(code).code for path, code in files_by_code(entry).items()}


def files_by_code(entry: str) -> dict[str, str]:
    """Return path -> code as it stands there, of the files of a path with `{lang}`.

    Raises:
        FileNotFoundError: no file matches.
        ValueError: the code of one is of no language.
    """
    before, *between, after = entry.split(_IN_PATH)
    pattern = entry.replace(_IN_PATH, "*")
    name = re.compile(
        _regular(before)
        + r"(?P<lang>[^/]+?)"
        + "".join(_regular(part) + "(?P=lang)" for part in between)
        + _regular(after)
    )
    found = {path: name.fullmatch(path) for path in sorted(glob.glob(pattern, recursive=True))}
    codes = {path: match["lang"] for path, match in found.items() if match}
    if not codes:
        raise FileNotFoundError(f"no file matches {entry}, with any code in place of {_IN_PATH}")
    for path, code in codes.items():
        try:
            find_language(code)
        except ValueError as error:
            raise ValueError(f"{path}: {error} ({_IN_PATH} stands there)") from error
    return codes


def _regular(pattern: str) -> str:
    """Return a glob pattern as a regular expression: `*` and `?`, within one name."""
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(one, re.escape(one)) for one in pattern)
