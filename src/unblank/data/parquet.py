"""The rows of parquet files, in bounded memory: a small file may unpack to any size.

A text that many rows share is stored once, so that it must not be unpacked for all of them at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from unblank.data.column_rows import ColumnRows, wanted_columns
from unblank.data.remote import RemotePath
from unblank.data.unpacking import LONGEST, OnRead
from unblank.extras import optional_package
from unblank.untrusted.lfs_pointer import refuse_pointer

__all__ = ["read_parquet"]

_ROWS_AT_ONCE = 256


def read_parquet(
    path: Path, names: Sequence[str], on_read: OnRead | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file after their places, `FILE, row N`.

    Args:
        path: of the file.
        names: the fields that are wanted, whose columns alone are read; none for all.
        on_read: called with the number of bytes that are read, at the end.

    Raises:
        ValueError: the file is damaged, lacks a field, or has rows that do not fit into memory.
        ImportError: pyarrow is not installed.
    """
    parquet = optional_package("pyarrow.parquet", f"reading {path}")
    arrow = optional_package("pyarrow", f"reading {path}")
    rows = ColumnRows(path)
    try:
        with ExitStack() as stack, rows.in_unicode():
            source: Any = path
            if isinstance(path, RemotePath):
                source = stack.enter_context(path.open("rb", is_seekable=True))
            facts = parquet.ParquetFile(source).metadata
            table = parquet.ParquetFile(
                source, read_dictionary=_stored_once(facts), page_checksum_verification=True
            )
            stack.enter_context(table)
            columns = wanted_columns(path, table.schema_arrow.names, names)
            for group in range(facts.num_row_groups):
                batches = table.iter_batches(
                    batch_size=_rows_at_once(path, facts.row_group(group), columns),
                    columns=columns,
                    row_groups=[group],
                )
                for batch in batches:
                    yield from rows.of(batch)
    except (arrow.ArrowException, OSError, KeyError) as error:
        # Arrow has no errno for what does not fit in a file.
        if isinstance(path, RemotePath) or getattr(error, "errno", None) is not None:
            raise
        refuse_pointer(path)
        raise ValueError(f"{path} is a damaged parquet file: {error}") from error
    if on_read is not None:
        on_read(path.stat().st_size)


def _stored_once(facts: Any) -> list[str]:
    """Return the columns of texts in which those that occur often are stored once."""
    found: dict[str, None] = {}
    for group in range(facts.num_row_groups):
        for number in range(facts.num_columns):
            chunk = facts.row_group(group).column(number)
            if chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page:
                found[chunk.path_in_schema] = None
    return list(found)


def _rows_at_once(path: Path, group: Any, columns: Sequence[str] | None) -> int:
    """Return how many rows of a group are unpacked at once, by what it says of its size."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    num_bytes = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if columns is None
        or not {chunk.path_in_schema, chunk.path_in_schema.partition(".")[0]}.isdisjoint(columns)
    )
    if num_bytes > LONGEST * max(group.num_rows, 1):
        raise ValueError(
            f"{path} has rows of {num_bytes // max(group.num_rows, 1):,} bytes on average: at most "
            f"{LONGEST:,} are read of one; divide them"
        )
    return _ROWS_AT_ONCE if num_bytes <= LONGEST else 1
