"""Records over several lines of a text file: line n of each is its field n.

NCLS has such files: an article, its summary, the next article. An empty line is an empty field, so
that every line keeps its place. Which line is which nothing in the file says; the caller does.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from unblank.data.records import Record, is_text, read_records
from unblank.plurals import counted

__all__ = ["read_line_records"]


def read_line_records(path: Path, names: Sequence[str]) -> Iterator[Record]:
    """Yield the records of a text file, each of as many lines as there are names.

    Args:
        path: of a text file, perhaps compressed.
        names: fields of a record, in the order of its lines.

    Raises:
        ValueError: the file is of another format, or its last record lacks a line; or as for
            `read_records`.
    """
    if not is_text(path):
        raise ValueError(
            f"{path} is not a text file: data.lines ({' '.join(names)}) names the lines of which a "
            "record of a .txt file consists; for files with fields leave it out"
        )
    place, record = str(path), dict[str, str]()
    for here, line in read_records(path):
        place = here if not record else place
        record[names[len(record)]] = line["text"]
        if len(record) == len(names):
            yield place, record
            record = {}
    if record:
        raise ValueError(
            f"{place}: the last record has {counted(len(record), 'line')}, but data.lines "
            f"({' '.join(names)}) names {len(names)}: a line is missing, or one is too many"
        )
