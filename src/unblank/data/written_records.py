"""Records written to a file whose name says the format: JSON lines, csv, tsv or parquet.

The one writer of all commands, the counterpart of `records`: what it writes, that reads. JSON lines
and parquet hold lists and objects as they are. A table has one value a cell: answers are spread
over columns by `flattened`, and other lists and objects are written as JSON.
"""

import base64
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from unblank.extras import optional_package, require_package
from unblank.integrity import atomic_file

__all__ = ["flattened", "is_table", "json_value", "require_writable", "write_records"]

_WRITTEN_ENDINGS = (".jsonl", ".csv", ".tsv", ".parquet")
"""Endings of the files that can be written."""

_TABLES = (".csv", ".tsv")
_ROWS_OF_A_GROUP = 4096


def require_writable(path: Path, *, also: Sequence[str] = ()) -> None:
    """Check that a file of this name can be written.

    Args:
        path: of the file.
        also: further endings that a command writes.

    Raises:
        ValueError: its ending is another one.
        ImportError: parquet is asked for, and its package is not installed.
    """
    ending = path.suffix.lower()
    allowed = (*also, *_WRITTEN_ENDINGS)
    if ending not in allowed:
        names = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        raise ValueError(f"output is {path}: its name must end in {names}")
    if ending == ".parquet":
        require_package("pyarrow", f"writing {path}")


def is_table(path: Path) -> bool:
    """Whether a file holds one text or number a cell."""
    return path.suffix.lower() in _TABLES


def write_records(
    path: Path, records: Iterable[Mapping[str, Any]], *, columns: Sequence[str] | None = None
) -> int:
    """Write records, all at once: a kill leaves the file that was there, or the new one.

    Few records are in memory at a time, if the iterable makes them as they are asked for.

    Args:
        path: its ending says the format, as for `require_writable`.
        records: name -> value each, which can be gone through several times.
        columns: names, in order, of those that are not in JSON lines; None for every name that
            occurs, in the order of appearance.

    Returns:
        Number of cells of a `.tsv` in which tabs and line ends became spaces, as it cannot hold
        them.

    Raises:
        OSError: the file cannot be written; the message names it.
        ImportError: parquet is asked for, and its package is not installed.
    """
    ending = path.suffix.lower()
    if ending == ".jsonl":
        with atomic_file(path) as file:
            for record in records:
                line = json.dumps(json_value(record), ensure_ascii=False)
                file.write(f"{line}\n".encode())
        return 0
    if columns is None:
        columns = list(dict.fromkeys(name for record in records for name in record))
    if ending == ".parquet":
        _write_parquet(path, columns, records)
        return 0
    num_changed = 0
    with atomic_file(path) as file:
        rows = ([_cell(record.get(name)) for name in columns] for record in records)
        for row in chain([columns], rows):
            if ending == ".csv":
                file.write((",".join(map(_quoted, row)) + "\n").encode())
                continue
            plain = [_in_one_line(cell) for cell in row]
            num_changed += sum(map(str.__ne__, plain, row))
            file.write(("\t".join(plain) + "\n").encode())
    return num_changed


def flattened(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose lists of objects, and objects, are spread over columns, one level deep.

    Items of a list are counted from 1. What is nested deeper stays, to be written as JSON.

    Example:
        >>> flattened({"blanks": [{"text": "cat"}, {"text": "mat"}], "shares": {"a": 0.5}})
        {'blanks_1_text': 'cat', 'blanks_2_text': 'mat', 'shares_a': 0.5}
    """
    return dict(_spread(record))


def _spread(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}_{key}", one) for key, one in value.items())
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for number, item in enumerate(value, start=1):
                yield from ((f"{name}_{number}_{key}", one) for key, one in item.items())
        else:
            yield name, value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    plain = json_value(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def json_value(value: Any) -> Any:
    """Return what JSON can hold: dates and the like as text, bytes as base64, no number as null.

    What numpy holds becomes numbers and lists of Python.
    """
    if isinstance(value, Mapping):
        return {str(name): json_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | bool | None):
        return value
    return json_value(value.tolist()) if hasattr(value, "tolist") else str(value)


def _quoted(cell: str) -> str:
    if any(char in cell for char in '",\n\r'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _in_one_line(cell: str) -> str:
    return " ".join(cell.replace("\t", " ").replace("\r\n", "\n").split("\n")).replace("\r", " ")


def _write_parquet(
    path: Path, columns: Sequence[str], records: Iterable[Mapping[str, Any]]
) -> None:
    """Write a group of rows after another; a column whose values are of several types is text."""
    arrow = optional_package("pyarrow", f"writing {path}")
    parquet = optional_package("pyarrow.parquet", f"writing {path}")
    types = _parquet_types(arrow, parquet, columns, records)
    while True:
        schema = arrow.schema(list(types.items()))
        try:
            with atomic_file(path) as file, parquet.ParquetWriter(file, schema) as writer:
                for group in _groups(records):
                    arrays = [_parquet_column(arrow, name, types[name], group) for name in columns]
                    writer.write_table(arrow.table(arrays, schema=schema))
            return
        except _OddColumnError as error:  # found late; the file is begun anew
            types[error.name] = arrow.string()


class _OddColumnError(Exception):
    """A column has a value that does not fit its type."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _groups(records: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    rest = iter(records)
    while group := list(islice(rest, _ROWS_OF_A_GROUP)):
        yield group


def _parquet_types(
    arrow: Any, parquet: Any, columns: Sequence[str], records: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the type of each column, which all its values have, or can be turned into."""
    types = dict.fromkeys(columns, arrow.null())
    for group in _groups(records):
        for name in columns:
            if arrow.types.is_string(types[name]):
                continue
            try:
                of_group = arrow.array([one.get(name) for one in group]).type
                both = [arrow.schema([("column", one)]) for one in (types[name], of_group)]
                schema = arrow.unify_schemas(both, promote_options="permissive")
                # Some types exist in memory only, such as objects without a field.
                parquet.write_table(schema.empty_table(), io.BytesIO())
                types[name] = schema.field("column").type
            except (arrow.ArrowException, TypeError, OverflowError):
                types[name] = arrow.string()
    text = arrow.string()
    return {name: text if arrow.types.is_null(one) else one for name, one in types.items()}


def _parquet_column(arrow: Any, name: str, kind: Any, group: Sequence[Mapping[str, Any]]) -> Any:
    values = [one.get(name) for one in group]
    if arrow.types.is_string(kind):
        values = [None if value is None else _cell(value) for value in values]
    try:
        return arrow.array(values, kind)
    except (arrow.ArrowException, TypeError, OverflowError) as error:
        raise _OddColumnError(name) from error
