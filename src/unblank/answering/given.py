"""The records of a file that is to be answered, read whole before anything is written."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from unblank.data.fields import field_names, field_text
from unblank.data.files import find_files
from unblank.data.formats import format_of
from unblank.data.records import Record, is_text, read_records
from unblank.data.sources import TextFiles, TextUnit

__all__ = ["GivenRecords", "Placed", "listed_texts", "read_given"]

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class GivenRecords:
    """Records in order.

    Attributes:
        places: `FILE, line N` of each.
        records: name -> value each.
    """

    places: list[str]
    records: list[dict[str, Any]]

    def each(self, read: Callable[[str, dict[str, Any]], _Read]) -> "Placed[_Read]":
        """Return what `read` makes of the place and the fields of each record.

        Args:
            read: raises ValueError for a record that it cannot use, which is then noted.

        Raises:
            ValueError: it can use none of them; that of the first.
        """
        found: dict[int, _Read] = {}
        problems: dict[int, str] = {}
        for number, (place, record) in enumerate(zip(self.places, self.records, strict=True)):
            try:
                found[number] = read(place, record)
            except ValueError as error:
                if not problems:
                    first = error
                problems[number] = str(error)
        if not found:
            raise first
        return Placed(found, problems)

    def texts(self, template: str) -> "Placed[str]":
        """Return the text of each record.

        Args:
            template: a field, or a text with fields in braces.

        Raises:
            ValueError: no record has it.
        """
        return self.each(lambda place, record: field_text(place, record, template))


@dataclass(frozen=True, slots=True)
class Placed(Generic[_Read]):
    """What was read of records.

    Attributes:
        found: number of a record from 0 -> what was read of it.
        problems: number of a record from 0 -> why nothing was.
    """

    found: dict[int, _Read]
    problems: dict[int, str]


def read_given(
    path: Path, template: str = "", *, more: Sequence[str] = (), text_unit: TextUnit = "line"
) -> GivenRecords:
    """Return the records of a file, or of several.

    Args:
        path: of a file of any format, a folder or a pattern; of any other ending: lines of text.
        template: what will be read of each; if it and `more` are numbers, a table has no header.
        more: further fields that will be read.
        text_unit: what a record of a text file is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a broken file, or one without a record; the message names file and line.
        ImportError: a file needs an extra that is not installed.
    """
    names = [*(field_names(template) if template else ()), *more]
    # Names choose columns of a parquet or Arrow file, but all are passed through.
    numbers = names if names and all(name.isdecimal() for name in names) else []
    places, records = [], []
    for file in find_files(path, any_ending=True):
        for place, record in _records(file, numbers, text_unit):
            places.append(place)
            records.append(record)
    if not records:
        raise ValueError(f"{path} has no record: nothing is there to be answered")
    return GivenRecords(places, records)


def listed_texts(place: str, name: str, value: str | list[str]) -> list[str]:
    """Return a list of texts, which a table holds as JSON.

    Args:
        place: of the record, for messages.
        name: of the field.
        value: what it holds.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, list):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(
            f'{place}: field {name!r} must be a list of texts, in a table as JSON (["sat", '
            f'"slept"]), got {value[:60]!r}'
        )
    return found


def _records(path: Path, numbers: Sequence[str], text_unit: TextUnit) -> Iterator[Record]:
    if is_text(path) and text_unit != "line":
        for place, text in TextFiles(paths=(path,), text_unit=text_unit).placed_texts():
            yield place, {"text": text}
        return
    yield from read_records(path, () if format_of(path) in ("parquet", "arrow") else numbers)
