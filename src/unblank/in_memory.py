"""Data that a Python call holds in memory, as files of JSON lines that a run reads like any other.

A file is named by its content, so that the same data is the same file when a run is continued.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unblank.integrity import write_atomically
from unblank.unicode import require_unicode

__all__ = ["as_files"]


def _is_table(value: object) -> bool:
    """Return whether this is data: a list of dicts, a pandas frame or a `datasets.Dataset`."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return True
    if hasattr(value, "column_names"):
        return True
    is_rows = isinstance(value, Sequence) and not isinstance(value, str)
    return is_rows and bool(value) and all(isinstance(row, Mapping) for row in value)  # type: ignore[attr-defined]


def as_files(value: Any, folder: Path, name: str) -> Any:
    """Return the value of a setting, with the paths of written files in place of data.

    Args:
        value: of a setting: data, or a list that holds some, is written; all else stays.
        folder: where to write.
        name: of the setting, for messages.

    Raises:
        TypeError: a table of another kind, or a cell that JSON does not have.
        ValueError: a text with a lone surrogate.
    """
    if _is_table(value):
        return _written(value, folder, name)
    if isinstance(value, list | tuple):
        return [as_files(item, folder, name) for item in value]
    return str(value) if isinstance(value, Path) else value


def _written(table: Any, folder: Path, name: str) -> str:
    lines = [_line(row, number, name) for number, row in enumerate(_rows(table, name), 1)]
    content = "".join(f"{line}\n" for line in lines)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = folder / f"{name}-{digest}.jsonl"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    return str(path)


def _rows(table: Any, name: str) -> Iterable[Mapping[str, Any]]:
    if hasattr(table, "to_dict") and hasattr(table, "columns"):
        records: Iterable[Mapping[str, Any]] = table.to_dict("records")
        return records
    rows = list(table)
    if not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(
            f"{name} is a {type(table).__name__}: give files, a list of dicts, a pandas frame "
            "or a datasets.Dataset (one split of a DatasetDict)"
        )
    return rows


def _line(row: Mapping[str, Any], number: int, name: str) -> str:
    # A frame holds NaN where a value is missing.
    cells = {key: None if _is_missing(cell) else cell for key, cell in row.items()}
    try:
        line = json.dumps(cells, ensure_ascii=False, allow_nan=False, default=_plain)
        line.encode()
    except UnicodeEncodeError as error:
        require_unicode(error.object, f"row {number} of {name}")
        raise
    except (TypeError, ValueError) as error:
        raise TypeError(f"row {number} of {name} cannot be written as JSON: {error}") from None
    return line


def _is_missing(cell: Any) -> bool:
    return isinstance(cell, float) and math.isnan(cell)


def _plain(value: Any) -> Any:
    """Return what a numpy scalar or array holds."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a cell is of type {type(value).__name__}: give text, numbers or lists")
