"""Lines of bytes from plain and compressed files, in bounded memory.

A small compressed file may unpack to any size: what is unpacked at once is bounded, and so is a
line. Streams that follow each other in a file (as `cat a.gz b.gz` makes them) are read as one.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, BinaryIO

from unblank.data.encodings import advise_on_format
from unblank.data.formats import compression_of
from unblank.extras import optional_package

__all__ = ["LONGEST", "OnRead", "byte_lines", "joined"]

OnRead = Callable[[int], None]
"""Called with the bytes of the file that were read so far, as it lies on disk."""

LONGEST = 2**27
"""Bytes of a line, and characters of anything else that is held in memory as a whole."""

_READ_AT_ONCE = 2**16
_UNPACKED_AT_ONCE = 2**20
_ZSTD_READ_AT_ONCE = 2**12
"""Unpacks to 2**27 bytes at the most: a block of zstd has at most 2**17, and takes 4 or more."""
_XZ_MEMORY = 2**28
"""Bytes; the highest level of xz needs a quarter of them."""

_PACKINGS = {
    ".gz": ("gzip", b"\x1f\x8b"),
    ".bz2": ("bzip2", b"BZh"),
    ".xz": ("xz", b"\xfd7zXZ\0"),
    ".zst": ("zstd", b"\x28\xb5\x2f\xfd"),
}
"""The name of each compression, and how its files begin."""


def byte_lines(path: Path, on_read: OnRead | None = None) -> Iterator[bytes]:
    r"""Yield the lines of a file with their ends; only `\n` ends one.

    Args:
        path: its ending says how it is compressed.
        on_read: called with the number of bytes that are read.

    Raises:
        ValueError: the file is damaged or cut, or a line is longer than `LONGEST`.
        ImportError: it needs an extra that is not installed.
    """
    with path.open("rb") as raw:
        for number, line in enumerate(_divided(_unpacked(path, raw)), start=1):
            if len(line) > LONGEST:
                raise ValueError(
                    f"{path}, line {number}, has more than {LONGEST:,} bytes"
                    f"{' after decompression' if compression_of(path) else ''}: divide it"
                )
            if on_read is not None:
                on_read(raw.tell())
            yield line


def joined(lines: Iterable[str], where: str, advice: str) -> str:
    """Return lines as one text.

    Args:
        lines: with their ends.
        where: they stand, for the message.
        advice: what to do if they are too many, for the message.

    Raises:
        ValueError: they have more than `LONGEST` characters.
    """
    text = StringIO(newline="")  # a list of short lines would take far more memory than they do
    for line in lines:
        text.write(line)
        if text.tell() > LONGEST:
            raise ValueError(
                f"{where} holds more than {LONGEST:,} characters, which have to be in memory at "
                f"once: {advice}"
            )
    return text.getvalue()


def _divided(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines; the last one is whatever there is of it once it is too long."""
    pending: list[bytes] = []
    num_pending = 0
    for block in blocks:
        first, *others = block.split(b"\n")
        pending.append(first)
        num_pending += len(first)
        if num_pending > LONGEST:
            break
        if others:
            yield b"".join(pending) + b"\n"
            for line in others[:-1]:
                yield line + b"\n"
            pending, num_pending = [others[-1]], len(others[-1])
    if num_pending:
        yield b"".join(pending)


def _unpacked(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    packing = compression_of(path)
    if not packing:
        yield from iter(partial(raw.read, _READ_AT_ONCE), b"")
        return
    errors: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, OSError, EOFError)
    if packing == ".zst":
        zstandard = optional_package("zstandard", f"reading {path}")
        streams, errors = _zstd_blocks(zstandard, raw), (zstandard.ZstdError, EOFError)
    else:
        streams = _blocks(packing, raw)
    try:
        yield from streams
    except errors as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the data
            raise
        raise ValueError(f"{path} is {_said_of(path, packing, error)}") from error


def _said_of(path: Path, packing: str, error: Exception) -> str:
    """Return what is wrong with a file that cannot be unpacked."""
    with path.open("rb") as raw:
        begin = raw.read(_READ_AT_ONCE)
    name, magic = _PACKINGS[packing]
    if begin.startswith(magic) or magic.startswith(begin):
        return f"a damaged or truncated {name} file: {error}"
    other = advise_on_format(begin)
    named = f"no {name} file, though its name ends in {packing}"
    return (
        f"{named}, but {other}" if other else f"{named}: name it by what it is, or fetch it again"
    )


def _blocks(packing: str, raw: BinaryIO) -> Iterator[bytes]:
    """Unpack stream after stream, no more at once than is asked for."""
    begin: dict[str, Callable[[], Any]] = {
        ".gz": _Gzip,
        ".bz2": bz2.BZ2Decompressor,
        ".xz": partial(lzma.LZMADecompressor, memlimit=_XZ_MEMORY),
    }
    stream: Any = None
    packed = b""
    while True:
        if not packed and (stream is None or stream.needs_input):
            packed = raw.read(_READ_AT_ONCE)
            if not packed:
                break
        if stream is None:
            packed = packed.lstrip(b"\0") if raw.tell() > len(packed) else packed
            if not packed:  # zeros fill up the end, as tapes and xz have it
                continue
            stream = begin[packing]()
        if block := stream.decompress(packed, _UNPACKED_AT_ONCE):
            yield block
        packed = b""
        if stream.eof:
            stream, packed = None, stream.unused_data
    if stream is not None:
        raise EOFError("it ends in the middle")


class _Gzip:
    """A stream of gzip with the interface that `bz2` and `lzma` give theirs."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, packed: bytes, most: int) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + packed, most)


def _zstd_blocks(zstandard: Any, raw: BinaryIO) -> Iterator[bytes]:
    """Unpack frame by frame: the package's own stream reader takes a cut file for complete."""
    frame = None
    while packed := raw.read(_ZSTD_READ_AT_ONCE):
        while packed:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(packed)
            packed = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("it ends in the middle of a frame")
