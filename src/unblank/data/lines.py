r"""The lines of files and of standard input: decompressed, divided and decoded by one rule.

Only `\n` and `\r\n` end a line: a bare `\r`, a form feed or U+2028 is part of it. Text is UTF-8,
whatever the locale, perhaps after a byte order mark.
"""

from collections.abc import Iterator
from pathlib import Path

from unblank.data.encodings import advise_on_file, advise_on_format, is_no_text, is_wide
from unblank.data.file_parts import FilePart
from unblank.data.formats import compression_of
from unblank.data.unpacking import OnRead, byte_lines

__all__ = ["decode_line", "read_lines"]


def read_lines(path: Path, on_read: OnRead | None = None) -> Iterator[str]:
    """Yield the lines of a plain or compressed UTF-8 file, with their ends (in Unix form).

    Args:
        path: of the file; its ending says how it is compressed.
        on_read: called with the number of bytes that are read.

    Raises:
        ValueError: if the file is not UTF-8 or damaged, or a line has no end in sight.
        ImportError: if it needs an extra that is not installed.
    """
    offset = 0
    whole, begin = (path.whole, path.bounds[0]) if isinstance(path, FilePart) else (path, 0)
    for number, line in enumerate(byte_lines(path, on_read), start=1):
        is_first = number == 1 and not begin
        if is_first and is_no_text(line):
            raise ValueError(f"{path} is no text: it is {advise_on_format(line)}")
        try:
            if is_first and is_wide(line):
                raise UnicodeDecodeError("utf-8", line, line.index(0), line.index(0) + 1, "NUL")
            yield decode_line(line, is_first=is_first)
        except UnicodeDecodeError as error:
            unpacked = " after decompression" if compression_of(path) else ""
            raise ValueError(
                f"{path}, line {number}, is not UTF-8: byte {offset + error.start}{unpacked} is "
                f"0x{line[error.start]:02x} ({error.reason}); "
                f"{advise_on_file(str(whole), line, byte_lines(whole))}"
            ) from error
        offset += len(line)


def decode_line(line: bytes, *, is_first: bool) -> str:
    """Return a line as text, with a Unix end if it has one.

    Args:
        line: its bytes.
        is_first: whether a byte order mark may stand before it, which is removed.

    Raises:
        UnicodeDecodeError: if it is not UTF-8.
    """
    text = line.decode("utf-8")
    if is_first:
        text = text.removeprefix("\ufeff")
    return text.removesuffix("\r\n") + "\n" if text.endswith("\r\n") else text
