"""Rows of data that Arrow holds in columns: which columns are wanted, and one row after another.

For parquet files and Arrow's own, which differ in how their columns are unpacked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from unblank.data.fields import no_field, require_unique
from unblank.data.unpacking import LONGEST

__all__ = ["ColumnRows", "wanted_columns"]


class ColumnRows:
    """The rows of one file, numbered from 1 over all that is unpacked of it."""

    def __init__(self, path: Path) -> None:
        """Start before the first row of the file."""
        self._path = path
        self._numbers = count(1)

    def of(self, batch: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the next rows after their places, `FILE, row N`.

        Args:
            batch: a `pyarrow.RecordBatch` of the wanted columns.

        Raises:
            ValueError: a text is too long to be held in memory.
        """
        names = batch.schema.names
        for row in zip(*batch.columns, strict=True):
            place = f"{self._path}, row {next(self._numbers)}"
            values = [_bounded_value(place, value.as_py()) for value in row]
            yield place, dict(zip(names, values, strict=True))

    @contextmanager
    def in_unicode(self) -> Iterator[None]:
        """Raise ValueError, which names the row, for a text that is not UTF-8."""
        try:
            yield
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self._path}, near row {next(self._numbers)}: a text is not UTF-8"
            ) from error


def _bounded_value(place: str, value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST:
        raise ValueError(f"{place} has a text of more than {LONGEST:,} characters: divide it")
    return value


def wanted_columns(path: Path, present: list[str], names: Sequence[str]) -> list[str] | None:
    """Return the columns that the wanted fields are in; None for all.

    Raises:
        ValueError: a field has no column, or two columns have one name.
    """
    require_unique(str(path), present)
    columns = [name if name in present else name.partition(".")[0] for name in names]
    for name, column in zip(names, columns, strict=True):
        if column not in present:
            raise ValueError(f"{path}: {no_field(dict.fromkeys(present), name)}")
    return list(dict.fromkeys(columns)) or None
