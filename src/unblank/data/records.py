"""Records with named fields from files: JSON lines, parquet, tab- and comma-separated tables.

The counterpart of `sources` for examples instead of documents. Every record comes with its place,
so that a fault in it can be named by file and line.
"""

import csv
import glob
import json
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Any

from unblank.data.sources import read_lines, read_objects
from unblank.plurals import counted

__all__ = ["Record", "find_record_files", "is_text", "read_records"]

_KINDS = (".jsonl", ".tsv", ".csv", ".txt")

_RECORD_SUFFIXES = (*_KINDS, ".parquet")
"""Formats that can be read; all but parquet also as .gz and .zst."""

Record = tuple[str, dict[str, Any]]
"""(place, fields): `FILE, line N`, and name -> value."""

_LONGEST_CELL = 2**30


def find_record_files(entry: str | Path, *, is_text_allowed: bool = False) -> list[Path]:
    """Return the files that a path or glob pattern stands for.

    Args:
        entry: the path or pattern.
        is_text_allowed: take files of any other ending, such as `test.en`, for lines of text.

    Raises:
        FileNotFoundError: if there is none; near names are offered.
        ValueError: if one is of a kind that cannot be read.
    """
    path = Path(entry).expanduser()
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give a file of examples, or a glob")
    files = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path), recursive=True)))
    if not files:
        siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, siblings, n=3)
        hint = f"; similar names in {path.parent}: {', '.join(near)}" if near else ""
        raise FileNotFoundError(f"no file matches {path}{hint}")
    for file in files:
        if _kind(file) is None and (not is_text_allowed or ".json" in file.suffixes):
            known = ", ".join(_RECORD_SUFFIXES)
            raise ValueError(
                f"cannot read examples from {file}: its name must end in one of {known}"
            )
    return files


def is_text(path: Path) -> bool:
    """Whether each line of a file is a record with the field `text` alone."""
    return _kind(path) in (".txt", None)


def read_records(path: Path, *, has_header: bool = True) -> Iterator[Record]:
    """Yield the records of a file.

    Args:
        path: `.jsonl`, `.tsv`, `.csv`, `.txt` (also `.gz`, `.zst`) or `.parquet`; a line of a text
            file, and of one with any other ending, is a record with the field `text`.
        has_header: whether the first line of a table names its columns; otherwise they are
            called 1, 2, ...

    Raises:
        ValueError: if the file is damaged or a line is not a record; names file and line.
        ImportError: if the file needs an extra that is not installed.
    """
    kind = _kind(path)
    if kind == ".parquet":
        return _parquet_records(path)
    if kind == ".jsonl":
        return _json_records(path)
    if kind == ".txt" or kind is None:
        return (
            (f"{path}, line {number}", {"text": line.rstrip("\n")})
            for number, line in enumerate(read_lines(path), start=1)
        )
    return _table_records(path, kind, has_header)


def _kind(path: Path) -> str | None:
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    for kind in _KINDS:
        if name.endswith(kind):
            return kind
    return ".parquet" if path.suffix == ".parquet" else None


def _json_records(path: Path) -> Iterator[Record]:
    for place, line, record in read_objects(path, read_lines(path)):
        if "\\ud" in line.lower():
            _require_unicode(record, place)
        yield place, record


def _require_unicode(record: dict[str, Any], place: str) -> None:
    for name, value in record.items():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{place}: field {name!r} has half of a surrogate pair, which is not valid Unicode"
            ) from error


def _table_records(path: Path, kind: str, has_header: bool) -> Iterator[Record]:
    csv.field_size_limit(_LONGEST_CELL)
    if kind == ".tsv":  # quotes are text there
        rows = csv.reader(read_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(read_lines(path))
    names: list[str] | None = None
    try:
        for row in rows:
            if not row:
                continue
            if names is None:
                names = row if has_header else [str(n) for n, _ in zip(count(1), row, strict=False)]
                if len(set(names)) < len(names):
                    twice = next(name for name in names if names.count(name) > 1)
                    raise ValueError(
                        f"{path}, line {rows.line_num}: two columns have the name {twice!r}: "
                        "rename one"
                    )
                if has_header:
                    continue
            place = f"{path}, line {rows.line_num}"
            if len(row) != len(names):
                raise ValueError(
                    f"{place}: {counted(len(row), 'column')}, but {len(names)} in the lines before"
                )
            yield place, dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: not a table: {error}") from error


def _parquet_records(path: Path) -> Iterator[Record]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs the package pyarrow: pip install 'unblank[data]'"
        ) from error
    numbers = count(1)
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=256):
                for record in batch.to_pylist():
                    yield f"{path}, row {next(numbers)}", record
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path} is a damaged parquet file: {error}") from error
