"""Data that a Python call holds in memory, as files of JSON lines that a run reads like any other.

A file is named by its content, so that the same data is the same file when a run is continued. It
is written once everything else about the call is known to be right.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unblank.atomic_folders import used_folder
from unblank.integrity import write_atomically
from unblank.path_arguments import given_path
from unblank.unicode import require_unicode

__all__ = ["GivenData"]


@dataclass(slots=True)
class GivenData:
    """The data of a call: the names of its files are known at once, the files are written later.

    Attributes:
        folder: for the files.
    """

    folder: Path
    _contents: dict[Path, str] = field(default_factory=dict)

    def named(self, value: Any, name: str) -> Any:
        """Return the value of a setting with the paths of files in place of data; writes nothing.

        Args:
            value: of a setting: data, or a list that holds some, becomes paths of files; paths
                become text; all else stays.
            name: of the setting, for messages.

        Raises:
            TypeError: a table of another kind, or a cell that JSON does not have.
            ValueError: a text with a lone surrogate, or a path that is none.
        """
        if _is_table(value):
            return self._file_of(value, name)
        if isinstance(value, list | tuple):
            return [self.named(item, name) for item in value]
        return str(given_path(value, name)) if isinstance(value, os.PathLike) else value

    def write(self) -> list[Path]:
        """Write the files that are not there, and return those.

        Raises:
            OSError: they cannot be written.
        """
        written = [path for path in self._contents if not path.is_file()]
        for path in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, self._contents[path])
        return written

    @contextmanager
    def written(self) -> Iterator[None]:
        """Have the files for a block; what was new goes again if the block refuses the call.

        What an interrupt or a fault ends may go on, and stays; so does what a run reads that has
        written something beside it, such as a checkpoint before the disk was full.

        Raises:
            OSError: they cannot be written.
        """
        others = self._others()
        with used_folder(self.folder) if self._contents else nullcontext():
            written = self.write()
            try:
                yield
            except (ValueError, TypeError, OSError, ImportError):
                for path in written if self._others() == others else ():
                    path.unlink(missing_ok=True)
                raise

    def _others(self) -> set[Path]:
        """Return what is beside the folder, and in the folders there."""
        found = {path for pattern in ("*", "*/*") for path in self.folder.parent.glob(pattern)}
        return {path for path in found if self.folder not in (path, path.parent)}

    def _file_of(self, table: Any, name: str) -> str:
        lines = [_line(row, number, name) for number, row in enumerate(_rows(table, name), 1)]
        content = "".join(f"{line}\n" for line in lines)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        path = self.folder / f"{name.rpartition('.')[2]}-{digest}.jsonl"
        self._contents[path] = content
        return str(path)


def _is_table(value: object) -> bool:
    """Return whether this is data: a list of dicts, a frame or a `datasets.Dataset`."""
    if _is_pandas(value) or _is_polars(value) or hasattr(value, "column_names"):
        return True
    is_rows = isinstance(value, Sequence) and not isinstance(value, str)
    return is_rows and bool(value) and all(isinstance(row, Mapping) for row in value)  # type: ignore[attr-defined]


def _is_pandas(value: object) -> bool:
    return hasattr(value, "to_dict") and hasattr(value, "columns") and not _is_polars(value)


def _is_polars(value: object) -> bool:
    return hasattr(value, "to_dicts")


def _rows(table: Any, name: str) -> Iterable[Mapping[str, Any]]:
    if _is_polars(table):
        rows: list[Mapping[str, Any]] = table.to_dicts()
        return rows
    if _is_pandas(table):
        return _rows_of_pandas(table)
    rows = list(table)
    if not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(
            f"{name} is a {type(table).__name__}: give files, a list of dicts, a pandas or polars "
            "frame, or a datasets.Dataset (one split of a DatasetDict)"
        )
    return rows


def _rows_of_pandas(table: Any) -> list[dict[str, Any]]:
    """Return the rows with None where a value is missing, of whatever type the column is."""
    rows, missing = (frame.to_dict("records") for frame in (table, table.isna()))
    return [
        {key: None if lacks[key] else cell for key, cell in row.items()}
        for row, lacks in zip(rows, missing, strict=True)
    ]


def _line(row: Mapping[str, Any], number: int, name: str) -> str:
    where = f"row {number} of {name}"
    for key, cell in row.items():
        if isinstance(cell, float) and not math.isfinite(cell):
            raise ValueError(
                f"{where}: {key!r} is {cell}, which is no value: give a number, or None where one "
                "is missing"
            )
    try:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain)
        line.encode()
    except UnicodeEncodeError as error:
        require_unicode(error.object, where)
        raise
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where} cannot be written as JSON: {error}") from None
    return line


def _plain(value: Any) -> Any:
    """Return what a mapping, or a numpy scalar or array, holds."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a cell is of type {type(value).__name__}: give text, numbers or lists")
