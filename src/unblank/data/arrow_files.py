"""Rows of Arrow files, as streams or with an index at the end; `datasets` saves data sets so."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from unblank.data.column_rows import ColumnRows, wanted_columns
from unblank.data.remote import RemotePath
from unblank.data.unpacking import OnRead
from unblank.extras import optional_package
from unblank.plurals import counted
from unblank.untrusted.lfs_pointer import refuse_pointer

__all__ = ["read_arrow"]

_WITH_INDEX = b"ARROW1"

_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""What a complete stream ends with; Arrow itself takes one that is cut for complete."""

_ROWS_AT_ONCE = 256


def read_arrow(
    path: Path, names: Sequence[str], on_read: OnRead | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file after their places, `FILE, row N`.

    Args:
        path: of the file.
        names: the fields that are wanted, whose columns alone are taken; none for all.
        on_read: called with the number of bytes that are read, at the end.

    Raises:
        ValueError: the file is damaged, lacks a field, or has a text that is too long.
        ImportError: pyarrow is not installed.
    """
    arrow = optional_package("pyarrow", f"reading {path}")
    ipc = optional_package("pyarrow.ipc", f"reading {path}")
    rows = ColumnRows(path)
    try:
        with ExitStack() as stack, rows.in_unicode():
            for batch in _batches(path, arrow, ipc, stack):
                columns = wanted_columns(path, batch.schema.names, names) or batch.schema.names
                for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                    yield from rows.of(batch.select(columns).slice(start, _ROWS_AT_ONCE))
    except (arrow.ArrowException, OSError) as error:
        # Arrow has no errno for what it misses in a file that is cut.
        if isinstance(path, RemotePath) or getattr(error, "errno", None) is not None:
            raise
        refuse_pointer(path)
        raise ValueError(f"{path} is a damaged Arrow file: {error}") from error
    if on_read is not None:
        on_read(path.stat().st_size)


def _batches(path: Path, arrow: Any, ipc: Any, stack: ExitStack) -> Iterator[Any]:
    """Yield the record batches of either format."""
    file = stack.enter_context(_opened(path))
    begin = file.read(len(_WITH_INDEX))
    if begin == _WITH_INDEX:
        file.seek(0)
        reader = ipc.open_file(_source(path, file, arrow, stack))
        batches: Iterator[Any] = map(reader.get_batch, range(reader.num_record_batches))
    else:
        file.seek(-min(path.stat().st_size, len(_END)), 2)
        if file.read() != _END:
            refuse_pointer(path)
            raise ValueError(f"{path} is a damaged Arrow file: it is cut, or has another format")
        file.seek(0)
        source = _source(path, file, arrow, stack)
        batches = _whole_stream(path, ipc.open_stream(source), source)
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _whole_stream(path: Path, stream: Any, source: Any) -> Iterator[Any]:
    """Yield the batches of a stream, and require that the file ends with it."""
    yield from stream
    if left := path.stat().st_size - source.tell():
        raise ValueError(
            f"{path} is a damaged Arrow file: its stream ends {counted(left, 'byte')} too early"
        )


def _opened(path: Path) -> Any:
    is_remote = isinstance(path, RemotePath)
    return path.open("rb", is_seekable=True) if is_remote else path.open("rb")  # type: ignore[call-overload]


def _source(path: Path, file: Any, arrow: Any, stack: ExitStack) -> Any:
    """Return what Arrow reads of; a local file is mapped, so that no more is read than is used."""
    if isinstance(path, RemotePath):
        return file
    return stack.enter_context(arrow.memory_map(str(path)))
