"""Parts of a large file, which several processes read at once: whole lines, rows or paragraphs.

Where a part ends the next one begins, whoever reads them, so that the parts together are the file.
"""

import os
from itertools import pairwise
from pathlib import Path, PosixPath
from typing import Any, Literal, Self

from unblank.data.formats import compression_of, format_of
from unblank.data.remote import RemotePath

__all__ = ["FilePart", "file_parts"]

_LINE = 2**20
"""Bytes of a line that are read at once."""


def file_parts(
    path: Path, part_bytes: int, text_unit: Literal["file", "paragraph", "line"]
) -> "list[FilePart]":
    """Return the parts of a file, of about so many bytes each; none if it cannot be divided.

    Lines of text and of JSON can be found in the middle of a file, and rows where quotes are text;
    what is compressed, or at a URL, is read from its beginning.

    Args:
        path: of the file.
        part_bytes: of a part; a file of less than two is not divided.
        text_unit: what a document of a `.txt` file is.
    """
    if isinstance(path, RemotePath) or compression_of(path):
        return []
    kind = format_of(path)
    is_text = kind in ("text", None)
    if text_unit == "file" if is_text else kind not in ("JSON lines", "tab-separated"):
        return []
    size = path.stat().st_size
    count = size // part_bytes
    if count < 2:
        return []
    if kind == "tab-separated" and not _begins_with_a_row(path):
        return []
    by_paragraph = is_text and text_unit == "paragraph"
    bounds = [size * number // count for number in range(count + 1)]
    return [
        FilePart.of(path, begin, end, by_paragraph=by_paragraph) for begin, end in pairwise(bounds)
    ]


def _begins_with_a_row(path: Path) -> bool:
    """Return whether the first line of a table is its header, by which all parts are read."""
    with path.open("rb") as file:
        return bool(file.readline(_LINE).removeprefix(b"\xef\xbb\xbf").strip())


class FilePart(PosixPath):
    """A part of a file as a path of data; its name is the file's, and it opens at its first line.

    Attributes:
        whole: the file.
        bounds: bytes at which the part begins and ends, but for the rest of a line.
    """

    whole: Path
    bounds: tuple[int, int]
    _by_paragraph: bool

    @classmethod
    def of(cls, path: Path, begin: int, end: int, *, by_paragraph: bool) -> Self:
        """Return the part of a file between two numbers of bytes."""
        part = cls(path)
        part.whole, part.bounds, part._by_paragraph = path, (begin, end), by_paragraph
        return part

    def __str__(self) -> str:
        begin, _ = self.bounds
        return f"{self.whole}, after byte {begin:,}" if begin else str(self.whole)

    def __fspath__(self) -> str:
        return str(self.whole)

    def stat(self, **options: Any) -> os.stat_result:
        """Return what is known of the file, with the size of the part."""
        facts = list(self.whole.stat(**options))
        facts[6] = self.bounds[1] - self.bounds[0]
        return os.stat_result(facts)

    def open(self, mode: str = "rb", *_: Any, **__: Any) -> Any:
        """Return the part for reading from its beginning to its end."""
        assert mode == "rb"
        return _Part(self.whole, self.bounds, self._by_paragraph)


class _Part:
    """A part of a file that is being read."""

    def __init__(self, path: Path, bounds: tuple[int, int], by_paragraph: bool) -> None:
        self._raw = path.open("rb")
        begin, end = bounds
        self._stop = self._boundary(end, by_paragraph)
        self._start = self._boundary(begin, by_paragraph)
        self._raw.seek(self._start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def read(self, size: int) -> bytes:
        return self._raw.read(min(size, max(self._stop - self._raw.tell(), 0)))

    def tell(self) -> int:
        return self._raw.tell() - self._start

    def _boundary(self, place: int, by_paragraph: bool) -> int:
        """Return the first byte from `place` on at which a line begins, after an empty one."""
        if not place:
            return 0
        self._raw.seek(place - 1)
        self._skip_line()  # of which only the rest is seen, which says nothing of it
        while by_paragraph and self._skip_line() is False:
            pass
        return self._raw.tell()

    def _skip_line(self) -> bool | None:
        """Read to the end of a line; return whether it is empty, or None at the end of the file."""
        is_empty = True
        while piece := self._raw.readline(_LINE):
            is_empty = is_empty and not piece.strip()
            if piece.endswith(b"\n"):
                return is_empty
        return None
