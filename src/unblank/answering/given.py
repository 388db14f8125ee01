"""The input of a command that answers a file: its records, checked before anything is written.

They are read anew each time that they are gone through, so that not all are in memory.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblank.data.fields import field_names, field_text
from unblank.data.files import find_files
from unblank.data.formats import format_of
from unblank.data.records import Record, is_text, read_records
from unblank.data.sources import TextFiles, TextUnit

__all__ = ["GivenRecords", "listed_texts", "read_given"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRecords:
    """Records in order, as (place, fields): `FILE, line N`, and name -> value.

    Attributes:
        files: in which they are.
        numbers: of columns, of a table without a header.
        text_unit: what a record of a text file is.
        count: of all of them.
        names: of all their fields, in the order of appearance.
        content_hash: of all their fields, to tell whether a file is still the same.
    """

    files: tuple[Path, ...]
    numbers: tuple[str, ...]
    text_unit: TextUnit
    count: int
    names: tuple[str, ...]
    content_hash: str

    def __len__(self) -> int:
        """The number of records."""
        return self.count

    def __iter__(self) -> Iterator[Record]:
        """Yield the records, read again."""
        return _records(self.files, self.numbers, self.text_unit)

    def require_some(self, read: Callable[[str, dict[str, Any]], object]) -> None:
        """Check that some record can be used.

        Args:
            read: takes place and fields; raises ValueError for a record that it cannot use.

        Raises:
            ValueError: it can use none of them; that of the first.
        """
        first = None
        for place, record in self:
            try:
                read(place, record)
            except ValueError as error:
                first = first or error
            else:
                return
        assert first is not None  # there is a record
        raise first

    def require_texts(self, template: str) -> None:
        """Check that some record has a text; errors as for `require_some`.

        Args:
            template: a field, or a text with fields in braces.
        """
        self.require_some(lambda place, record: field_text(place, record, template))


def read_given(
    path: Path, template: str = "", *, more: Sequence[str] = (), text_unit: TextUnit = "line"
) -> GivenRecords:
    """Return the records of a file, or of several, once all of them were read.

    Args:
        path: of a file of any format, a folder or a pattern; of any other ending: lines of text.
        template: what will be read of each; if it and `more` are numbers, a table has no header.
        more: further fields that will be read.
        text_unit: what a record of a text file is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a broken file, or one without a record; the message names file and line.
        ImportError: a file needs an extra that is not installed.
    """
    wanted = [*(field_names(template) if template else ()), *more]
    # Names choose columns of a parquet or Arrow file, but all are passed through.
    numbers = tuple(wanted) if wanted and all(name.isdecimal() for name in wanted) else ()
    files = find_files(path, any_ending=True)
    count, names, content = 0, dict[str, None](), hashlib.sha256()
    for _, record in _records(files, numbers, text_unit):
        count += 1
        names.update(dict.fromkeys(record))
        line = json.dumps(record, ensure_ascii=False, default=str)
        content.update(f"{line}\n".encode("utf-8", "surrogatepass"))
    if not count:
        raise ValueError(f"{path} has no record: nothing is there to be answered")
    return GivenRecords(
        files=files,
        numbers=numbers,
        text_unit=text_unit,
        count=count,
        names=tuple(names),
        content_hash=content.hexdigest(),
    )


def listed_texts(place: str, name: str, value: str | list[str]) -> list[str]:
    """Return a list of texts, which a table holds as JSON.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, list):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(
            f'{place}: field {name!r} must be a list of texts, in a table as JSON (["sat", '
            f'"slept"]), got {value[:60]!r}'
        )
    return found


def _records(
    files: Sequence[Path], numbers: Sequence[str], text_unit: TextUnit
) -> Iterator[Record]:
    for path in files:
        if is_text(path) and text_unit != "line":
            for place, text in TextFiles(paths=(path,), text_unit=text_unit).placed_texts():
                yield place, {"text": text}
            continue
        yield from read_records(path, () if format_of(path) in ("parquet", "arrow") else numbers)
