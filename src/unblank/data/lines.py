r"""The lines of files and of standard input: decompressed, divided and decoded by one rule.

Only `\n` and `\r\n` end a line: a bare `\r`, a form feed or U+2028 is part of it. Text is UTF-8,
whatever the locale, perhaps after a byte order mark.
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from unblank.data.encodings import advise_on_file, is_wide
from unblank.data.formats import compression_of
from unblank.extras import optional_package

__all__ = ["OnRead", "decode_line", "read_lines"]

OnRead = Callable[[int], None]
"""Called with the bytes of the file that were read so far, as it lies on disk."""


def read_lines(path: Path, on_read: OnRead | None = None) -> Iterator[str]:
    """Yield the lines of a plain or compressed UTF-8 file, with their ends (in Unix form).

    Args:
        path: of the file; its ending says how it is compressed.
        on_read: told how far the reading is.

    Raises:
        ValueError: if the file is not UTF-8 or damaged.
        ImportError: if it needs an extra that is not installed.
    """
    offset = 0
    for number, line in enumerate(_byte_lines(path, on_read), start=1):
        try:
            if number == 1 and is_wide(line):
                raise UnicodeDecodeError("utf-8", line, line.index(0), line.index(0) + 1, "NUL")
            yield decode_line(line, is_first=number == 1)
        except UnicodeDecodeError as error:
            unpacked = " after decompression" if compression_of(path) else ""
            raise ValueError(
                f"{path}, line {number}, is not UTF-8: byte {offset + error.start}{unpacked} is "
                f"0x{line[error.start]:02x} ({error.reason}); "
                f"{advise_on_file(str(path), line, _byte_lines(path))}"
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


def _byte_lines(path: Path, on_read: OnRead | None = None) -> Iterator[bytes]:
    packing = compression_of(path)
    try:
        with path.open("rb") as raw:
            for line in _unpacked_lines(path, packing, raw):
                if on_read is not None:
                    on_read(raw.tell())
                yield line
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise ValueError(_damaged(path, packing, error)) from error
    except OSError as error:
        if packing != ".bz2" or error.errno is not None:  # so bz2 says that data is damaged
            raise
        raise ValueError(_damaged(path, packing, error)) from error


def _unpacked_lines(path: Path, packing: str, raw: BinaryIO) -> Iterable[bytes]:
    if packing == ".gz":
        return gzip.GzipFile(fileobj=raw)
    if packing == ".bz2":
        return bz2.BZ2File(raw)
    if packing == ".xz":
        return lzma.LZMAFile(raw)
    return _zstd_lines(path, raw) if packing == ".zst" else raw


def _damaged(path: Path, packing: str, error: Exception) -> str:
    names = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
    return f"{path} is a damaged or truncated {names[packing]} file: {error}"


def _zstd_lines(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    zstandard = optional_package("zstandard", f"reading {path}")
    pending = b""
    try:
        for chunk in _zstd_chunks(zstandard, raw):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                yield line + b"\n"
    except zstandard.ZstdError as error:
        raise ValueError(_damaged(path, ".zst", error)) from error
    if pending:
        yield pending


def _zstd_chunks(zstandard: Any, raw: BinaryIO) -> Iterator[bytes]:
    """Decompress frame by frame: the package's own stream reader takes a cut file for complete."""
    frame = None
    while compressed := raw.read(1 << 16):
        while compressed:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(compressed)
            compressed = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise zstandard.ZstdError("it ends in the middle of a frame")
