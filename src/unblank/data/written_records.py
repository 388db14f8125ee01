"""Records written to a file whose name says the format: JSON lines, csv, tsv or parquet.

The one writer of all commands, the counterpart of `records`: what it writes, that reads. JSON lines
and parquet hold lists and objects as they are. A table has one value a cell: answers are spread
over columns by `flattened`, and other lists and objects are written as JSON.
"""

import base64
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unblank.disk_errors import writes_to
from unblank.extras import optional_package, require_package
from unblank.integrity import write_at_once

__all__ = ["flattened", "is_table", "require_writable", "write_records"]

_WRITTEN_ENDINGS = (".jsonl", ".csv", ".tsv", ".parquet")
"""Endings of the files that can be written."""

_TABLES = (".csv", ".tsv")


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


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> int:
    """Write records, all at once: a kill leaves the file that was there, or the new one.

    Args:
        path: its ending says the format, as for `require_writable`.
        records: name -> value each; a column is made for every name, in the order of appearance.

    Returns:
        Number of cells of a `.tsv` in which tabs and line ends became spaces, as it cannot hold
        them.

    Raises:
        OSError: the file cannot be written; the message names it.
        ImportError: parquet is asked for, and its package is not installed.
    """
    ending = path.suffix.lower()
    columns = list(dict.fromkeys(name for record in records for name in record))
    if ending == ".parquet":
        _write_parquet(path, columns, records)
        return 0
    if ending == ".jsonl":
        lines = (json.dumps(_json_value(record), ensure_ascii=False) for record in records)
        write_at_once(path, "".join(f"{line}\n" for line in lines))
        return 0
    rows = [[_cell(record.get(name)) for name in columns] for record in records]
    if ending == ".csv":
        text = "".join(",".join(map(_quoted, row)) + "\n" for row in [columns, *rows])
        write_at_once(path, text)
        return 0
    plain = [[_in_one_line(cell) for cell in row] for row in [columns, *rows]]
    write_at_once(path, "".join("\t".join(row) + "\n" for row in plain))
    return sum(
        cell != before
        for row, row_before in zip(plain, [columns, *rows], strict=True)
        for cell, before in zip(row, row_before, strict=True)
    )


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
    plain = _json_value(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _json_value(value: Any) -> Any:
    """Return what JSON can hold: dates and the like as text, bytes as base64, no number as null."""
    if isinstance(value, Mapping):
        return {str(name): _json_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _quoted(cell: str) -> str:
    if any(char in cell for char in '",\n\r'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _in_one_line(cell: str) -> str:
    return " ".join(cell.replace("\t", " ").replace("\r\n", "\n").split("\n")).replace("\r", " ")


def _write_parquet(
    path: Path, columns: Sequence[str], records: Sequence[Mapping[str, Any]]
) -> None:
    arrow = optional_package("pyarrow", f"writing {path}")
    parquet = optional_package("pyarrow.parquet", f"writing {path}")
    table = arrow.table(
        {name: _parquet_column(arrow, parquet, [one.get(name) for one in records])
         for name in columns}
    )  # fmt: skip
    replacement = path.with_name(path.name + ".tmp")
    try:
        with writes_to(path), replacement.open("wb") as file:
            parquet.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        replacement.unlink(missing_ok=True)
        raise
    replacement.replace(path)


def _parquet_column(arrow: Any, parquet: Any, values: Sequence[Any]) -> Any:
    """Return a column; values of several types are written as text."""
    try:
        column = arrow.array(values)
        if arrow.types.is_null(column.type):
            return column.cast(arrow.string())
        # Some types exist in memory only, such as objects without a field.
        parquet.write_table(arrow.table({"column": column.slice(0, 0)}), io.BytesIO())
    except (arrow.ArrowException, TypeError, OverflowError):
        texts = [None if value is None else _cell(value) for value in values]
        return arrow.array(texts, arrow.string())
    return column
