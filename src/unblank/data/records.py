"""Records with named fields from files of every format, each with its place.

The one reader of all commands: documents (`sources`), pairs and examples are made of these records.
A place is `FILE, line N` (of a record over several lines the first), so that a fault can be found.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from unblank.data.arrow_files import read_arrow
from unblank.data.csv_rows import read_csv_rows
from unblank.data.fields import no_field, require_unique
from unblank.data.file_parts import FilePart
from unblank.data.formats import format_of
from unblank.data.json_records import json_line_records, json_records
from unblank.data.lines import read_lines
from unblank.data.parquet import read_parquet
from unblank.data.unpacking import OnRead
from unblank.plurals import counted

__all__ = ["Record", "is_text", "read_records"]

Record = tuple[str, dict[str, Any]]
"""(place, fields): `FILE, line N`, and name -> value."""

_Rows = Iterator[tuple[int, list[str]]]


def is_text(path: Path) -> bool:
    """Whether each line of a file is a record with the field `text` alone."""
    return format_of(path) in ("text", None)


def read_records(
    path: Path, names: Sequence[str] = (), *, on_read: OnRead | None = None
) -> Iterator[Record]:
    """Yield the records of a file.

    Args:
        path: of any format of `unblank.data.formats`; a line of a text file, and of one with any
            other ending, is a record with the field `text`.
        names: the fields that are wanted, if they are known. A table has no header if all of them
            are numbers: its columns are then 1, 2, ... Of parquet and Arrow no other is read.
        on_read: called with the number of bytes that are read.

    Raises:
        ValueError: if the file is damaged or a line is not a record; names file and line.
        ImportError: if the file needs an extra that is not installed.
    """
    kind = format_of(path)
    if kind == "parquet":
        return read_parquet(path, names, on_read)
    if kind == "arrow":
        return read_arrow(path, names, on_read)
    lines = read_lines(path, on_read)
    if kind == "JSON lines":
        return json_line_records(path, lines)
    if kind == "JSON":
        return json_records(path, lines)
    if kind == "tab-separated":
        return _table_records(path, _tab_rows(lines), names)
    if kind == "comma-separated":
        return _table_records(path, _csv_rows(path, lines), names)
    return (
        (f"{path}, line {number}", {"text": line.removesuffix("\n")})
        for number, line in enumerate(lines, start=1)
    )


def _tab_rows(lines: Iterable[str]) -> _Rows:
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix("\n").split("\t")


def _csv_rows(path: Path, lines: Iterable[str]) -> _Rows:
    try:
        yield from read_csv_rows(lines)
    except ValueError as error:
        if str(error).startswith(str(path)):  # the file itself cannot be read
            raise
        raise ValueError(f"{path}, {error}") from error


def _names_of(row: list[str], is_header: bool) -> list[str]:
    """Return the names of the columns by the first row of a table."""
    return row if is_header else [str(number) for number, _ in enumerate(row, start=1)]


def _names_before(path: Path, has_header: bool) -> list[str]:
    """Return the names of the columns if the file begins before what is read of it."""
    if not (isinstance(path, FilePart) and path.bounds[0]):
        return []
    _, first = next(_tab_rows(read_lines(path.whole)))
    return _names_of(first, has_header)


def _table_records(path: Path, rows: _Rows, wanted: Sequence[str]) -> Iterator[Record]:
    has_header = not (wanted and all(name.isdecimal() for name in wanted))
    names = _names_before(path, has_header)
    place, is_empty = str(path), True
    for number, row in rows:
        place = f"{path}, line {number}"
        if row == [""] and len(names) != 1:  # an empty line is a row only of a single column
            continue
        if not names:
            names = _names_of(row, has_header)
            require_unique(place, names)
            if has_header:
                continue
        if len(row) != len(names):
            raise ValueError(
                f"{place}: {counted(len(row), 'column')}, but {len(names)} in the lines before"
            )
        is_empty = False
        yield place, dict(zip(names, row, strict=True))
    absent = [name for name in wanted if is_empty and name not in names]
    if names and absent:  # a reader looks for its fields in rows, and there are none
        raise ValueError(f"{place}: {no_field(dict.fromkeys(names), absent[0])}")
