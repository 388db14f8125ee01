r"""Rows of comma-separated values, strictly as in RFC 4180: a stray quote is refused.

The standard library's reader takes a quote inside a plain field for text, a bare `\r` for the end
of a line, and does not say where a record begins.
"""

import re
from collections.abc import Iterable, Iterator

from unblank.data.unpacking import LONGEST

__all__ = ["read_csv_rows"]

_FIELD = r"""(?:"[^"]*(?:""[^"]*)*"|[^",\n]*)"""
_FIELDS = re.compile(f",({_FIELD})")
_ROW = re.compile(f"(?:,{_FIELD})*")  # with a comma before every field, the first too
_OPEN_ROW = re.compile(rf'(?:,{_FIELD})*,"[^"]*(?:""[^"]*)*')  # its last field goes on
_QUOTE_IN_PLAIN = re.compile(r',[^",\n]+"')

_ADVICE = (
    ': close it, or write a quotation mark that is text as "" in a quoted field (in a .tsv, '
    "quotation marks are text)"
)


def read_csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    r"""Yield the number of the first line of each row, from 1, and its fields.

    Args:
        lines: with their ends; a quoted field may go on over several.

    Raises:
        ValueError: for a quote that is not where a field begins or ends, or that is never closed;
            the message begins with the line on which the row begins.

    Example:
        >>> list(read_csv_rows(['a,"b, c"\n', '"d\n', 'e",f\n']))
        [(1, ['a', 'b, c']), (2, ['d\ne', 'f'])]
    """
    first, row = 0, ""
    is_open = False
    for number, line in enumerate(lines, start=1):
        if not is_open:
            first, row = number, ""
        row += line
        if len(row) > LONGEST:
            raise ValueError(f"line {first}: a row of more than {LONGEST:,} characters{_ADVICE}")
        is_open ^= line.count('"') % 2 == 1
        if not is_open:
            yield first, _fields(first, row)
        elif number == first and not _OPEN_ROW.fullmatch("," + row):
            raise _stray_quote(first, row)
    if is_open:
        raise ValueError(f"line {first}: the quotation mark of a field is never closed{_ADVICE}")


def _fields(first: int, row: str) -> list[str]:
    if '"' not in row:
        return row.removesuffix("\n").split(",")
    if _ROW.fullmatch("," + row.removesuffix("\n")) is None:
        raise _stray_quote(first, row)
    return [
        field[1:-1].replace('""', '"') if field.startswith('"') else field
        for field in _FIELDS.findall("," + row.removesuffix("\n"))
    ]


def _stray_quote(first: int, row: str) -> ValueError:
    is_inside = _QUOTE_IN_PLAIN.search("," + row)
    kind = "stands inside a field" if is_inside else "does not end its field"
    return ValueError(f"line {first}: a quotation mark {kind}{_ADVICE}")
