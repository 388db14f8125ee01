"""Which files can be read, and as what: the one table that every command goes by.

A name says the format, in letters of any case, and after it perhaps how the file is compressed:
`corpus.JSONL.gz`. `docs/data.md` shows the table; a test compares the two.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["FORMATS", "compression_of", "format_of", "package_of", "shown_endings"]

_FormatName = Literal[
    "text", "JSON lines", "JSON", "tab-separated", "comma-separated", "parquet", "arrow"
]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        endings: of the names of such files, in lower case.
        document: what a document is, where texts are read.
        record: what a record is, where fields are read.
        is_packed: whether it may be compressed as a whole.
    """

    endings: tuple[str, ...]
    document: str
    record: str
    is_packed: bool = True


FORMATS: dict[_FormatName, Format] = {
    "text": Format(
        (".txt",),
        "the whole file, a block between blank lines, or a line (`text_unit`)",
        "a line, in the field `text`",
    ),
    "JSON lines": Format(
        (".jsonl", ".ndjson"), "the text field of a line", "a line, which is an object"
    ),
    "JSON": Format(
        (".json",),
        "the text field of an object",
        "an object of an array, or of objects one after another",
    ),
    "tab-separated": Format((".tsv",), "the text field of a row", "a row; quotes are text"),
    "comma-separated": Format((".csv",), "the text field of a row", "a row, quoted as in RFC 4180"),
    "parquet": Format((".parquet",), "the text field of a row", "a row", is_packed=False),
    "arrow": Format((".arrow",), "the text field of a row", "a row", is_packed=False),
}
"""Every format by its name."""

_COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
"""Endings of compressed files, after the one of the format."""


def format_of(path: Path) -> _FormatName | None:
    """Return the format that a file's name says; None if it says none that can be read.

    Example:
        >>> format_of(Path("a/B.TXT")), format_of(Path("c.jsonl.xz")), format_of(Path("train.en"))
        ('text', 'JSON lines', None)
    """
    packing = compression_of(path)
    name = path.name.lower().removesuffix(packing)
    for kind, form in FORMATS.items():
        if name.endswith(form.endings) and (form.is_packed or not packing):
            return kind
    return None


def compression_of(path: Path) -> str:
    """Return the ending that says how a file is compressed; empty if it is not.

    Example:
        >>> compression_of(Path("corpus.txt.GZ"))
        '.gz'
    """
    ending = path.suffix.lower()
    return ending if ending in _COMPRESSIONS else ""


def package_of(path: Path) -> str | None:
    """Return the package that reads a file, as it is imported; None for the standard library.

    Example:
        >>> package_of(Path("a.parquet")), package_of(Path("a.txt.zst")), package_of(Path("a.csv"))
        ('pyarrow', 'zstandard', None)
    """
    if format_of(path) in ("parquet", "arrow"):
        return "pyarrow"
    return "zstandard" if compression_of(path) == ".zst" else None


def shown_endings() -> str:
    """Return the endings that can be read, for messages."""
    packed = [ending for form in FORMATS.values() if form.is_packed for ending in form.endings]
    others = [ending for form in FORMATS.values() if not form.is_packed for ending in form.endings]
    return f"{', '.join(packed)} (each also {', '.join(_COMPRESSIONS)}) or {', '.join(others)}"
