"""The same sentences in several languages: a file whose records have one field a language.

Sentence number n is the same one in every language; where a language lacks it, it is empty. Pairs
(`PATH:FIELD@{lang}` with English in the field `eng`, as Tatoeba has them) are read as one set for
each language.
"""

from unblank.data.fields import field_text
from unblank.data.files import find_files
from unblank.data.language_files import LANGUAGE_FIELD
from unblank.data.language_sources import TextEntry, code_or_nothing
from unblank.data.records import read_records
from unblank.languages import find_language

__all__ = ["read_parallel", "read_parallel_pairs"]


def read_parallel(entry: TextEntry) -> dict[str, list[str]]:
    """Return code of each language -> its sentences, as many in each.

    Args:
        entry: `FILE:{lang}`, see `unblank.data.language_sources`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the entry is not of this form, or no field is named by a code.
    """
    if entry.text_field != "{lang}":
        raise ValueError(
            f"parallel sentences are given as FILE:{{lang}}, with one field a language, not as "
            f"{entry.path}"
        )
    found: dict[str, list[str]] = {}
    num_read = 0
    for path in find_files(entry.path):
        for _, record in read_records(path):
            of_record = {
                code: text
                for name, text in record.items()
                if isinstance(text, str) and (code := code_or_nothing(name))
            }
            for code in dict.fromkeys([*found, *of_record]):
                known = found.setdefault(code, [""] * num_read)
                known.append(of_record.get(code, ""))
            num_read += 1
    if not found:
        raise ValueError(f"{entry.path} has no field that is named by the code of a language")
    return found


def read_parallel_pairs(entry: TextEntry, other: str) -> dict[str, list[tuple[str, str]]]:
    """Return code of each language -> its sentences, each with the same in another language.

    Args:
        entry: `FILE:FIELD@{lang}` or `FILE@{lang}`; the field is `text` by default.
        other: field of the other side.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a record lacks a field, or its language is none.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for path in find_files(entry.path):
        for place, record in read_records(path):
            try:
                code = find_language(str(record.get(LANGUAGE_FIELD))).code
            except ValueError as error:
                raise ValueError(f"{place}: field {LANGUAGE_FIELD!r}: {error}") from error
            own = field_text(place, record, entry.text_field or "text")
            found.setdefault(code, []).append((own, field_text(place, record, other)))
    return found
