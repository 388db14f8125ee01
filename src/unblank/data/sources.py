"""Documents from files: text, JSON lines and parquet, plain or compressed, one after another.

Streams: one document is in memory at a time (a `.txt` file read as one document is the exception).
A fault in a file is reported with its name and place; nothing is predicted or passed over,
except documents without any visible character, which are counted.
"""

import codecs
import difflib
import glob
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

__all__ = [
    "SUFFIXES",
    "TextFiles",
    "TextUnit",
    "find_files",
    "likely_encoding",
    "read_lines",
    "read_objects",
]

TextUnit = Literal["file", "paragraph", "line"]
"""What a document of a `.txt` file is: the file, a block between blank lines, or a line."""

SUFFIXES = (
    ".txt",
    ".txt.gz",
    ".txt.zst",
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".parquet",
)
"""Endings of the files that can be read."""


def find_files(paths: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the files that paths, folders and glob patterns stand for, each once.

    A folder stands for all readable files below it whose names do not start with a dot, in sorted
    order. `**` in a pattern crosses folders.

    Raises:
        FileNotFoundError: if a path or pattern matches no file; near names are offered.
        ValueError: if a named or matched file has an ending that cannot be read, or nothing is
            asked for.
    """
    asked = [paths] if isinstance(paths, str | Path) else list(paths)
    if not asked:
        raise ValueError("no text: give at least one file, folder or glob")
    found = [path for entry in asked for path in _matches(Path(entry).expanduser())]
    return tuple(dict.fromkeys(found))


def _matches(entry: Path) -> list[Path]:
    if entry.is_dir():
        files = [path for path in sorted(entry.rglob("*")) if _is_readable(path)]
        if not files:
            raise FileNotFoundError(
                f"folder {entry} has no text: neither it nor its subfolders have a file ending in "
                f"one of {', '.join(SUFFIXES)}"
            )
        return files
    matched = [entry] if entry.exists() else map(Path, glob.glob(str(entry), recursive=True))
    files = sorted(path for path in matched if path.is_file())
    if not files:
        raise FileNotFoundError(f"no file matches {entry}{_near_names(entry)}")
    for path in files:
        if not path.name.endswith(SUFFIXES):
            raise ValueError(
                f"cannot read {path}: its name must end in one of {', '.join(SUFFIXES)}"
            )
    return files


def _is_readable(path: Path) -> bool:
    return path.name.endswith(SUFFIXES) and not path.name.startswith(".") and path.is_file()


def _near_names(entry: Path) -> str:
    if not entry.parent.is_dir():
        return f" (there is no folder {entry.parent})"
    names = [path.name for path in entry.parent.iterdir()]
    near = difflib.get_close_matches(entry.name, names, n=3)
    return f"; similar names in {entry.parent}: {', '.join(near)}" if near else ""


@dataclass(slots=True, kw_only=True)
class TextFiles:
    r"""The documents of some files, as often as it is iterated over.

    The counters start again with each iteration and are complete when it ends.

    Attributes:
        paths: files to read, in this order (see `find_files`).
        text_field: key or column that holds the text, in `.jsonl` and `.parquet`.
        text_unit: what makes one document of a `.txt` file.
        num_documents: documents given out so far.
        num_empty: documents passed over because they hold nothing but white space, or null.
        num_characters: characters given out so far.
        num_bytes_read: bytes of the files (as they lie on disk) read so far.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "corpus.jsonl")
        >>> _ = path.write_text('{"text": "One."}\n{"text": ""}\n{"text": "Two."}\n')
        >>> files = TextFiles(paths=(path,))
        >>> list(files), files.num_empty
        (['One.', 'Two.'], 1)
    """

    paths: tuple[Path, ...]
    text_field: str = "text"
    text_unit: TextUnit = "file"
    num_documents: int = field(default=0, init=False)
    num_empty: int = field(default=0, init=False)
    num_characters: int = field(default=0, init=False)
    num_bytes_read: int = field(default=0, init=False)

    @property
    def num_bytes(self) -> int:
        """Bytes of all files as they lie on disk."""
        return sum(path.stat().st_size for path in self.paths)

    @property
    def shown_paths(self) -> str:
        """Names of the files for a message, of many the first three."""
        return ", ".join(map(str, self.paths[:3])) + ", ..." * (len(self.paths) > 3)

    def __iter__(self) -> Iterator[str]:
        """Yield the documents.

        Raises:
            ValueError: if a file is not UTF-8, is damaged, has a broken line or lacks the field.
            ImportError: if a file needs an extra that is not installed.
        """
        self.num_documents = self.num_empty = self.num_characters = self.num_bytes_read = 0
        for path in self.paths:
            num_bytes_before = self.num_bytes_read
            for text in self.texts(path):
                if not text.strip():
                    self.num_empty += 1
                    continue
                self.num_documents += 1
                self.num_characters += len(text)
                yield text
            self.num_bytes_read = num_bytes_before + path.stat().st_size

    def texts(self, path: Path) -> Iterator[str]:
        """Yield every text of one of the files, empty ones too; errors as in `__iter__`."""
        if path.name.endswith(".parquet"):
            return _parquet_documents(path, self.text_field)
        lines = _decoded(path, self._byte_lines(path))
        if ".jsonl" in path.suffixes:
            return _json_documents(path, lines, self.text_field)
        if self.text_unit == "line":
            return (line.rstrip("\n") for line in lines)
        if self.text_unit == "paragraph":
            return _paragraphs(lines)
        return iter(["".join(lines)])

    def _byte_lines(self, path: Path) -> Iterator[bytes]:
        num_bytes_before = self.num_bytes_read
        with path.open("rb") as raw:
            for line in _decompressed(path, raw):
                self.num_bytes_read = num_bytes_before + raw.tell()
                yield line


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a plain or compressed UTF-8 file, with Unix line ends.

    Raises:
        ValueError: if the file is not UTF-8 or damaged.
        ImportError: if it needs an extra that is not installed.
    """
    with path.open("rb") as raw:
        yield from _decoded(path, _decompressed(path, raw))


def read_objects(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the JSON objects of lines, each after its place (`FILE, line N`) and the line.

    Args:
        path: the file, for messages.
        lines: its lines; empty ones are passed over.

    Raises:
        ValueError: if a line is not a JSON object.
    """
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        place = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{place}: not valid JSON: {error}; the line is {line[:80]!r}"
            ) from error
        if not isinstance(record, dict):
            raise ValueError(
                f"{place}: expected a JSON object, got a {_kind(record)}: {line[:80]!r}"
            )
        yield place, line, record


def _decompressed(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    if path.suffix == ".gz":
        return _gzip_lines(path, raw)
    if path.suffix == ".zst":
        return _zstd_lines(path, raw)
    return iter(raw)


def _gzip_lines(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=raw) as stream:
            yield from stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged or truncated gzip file: {error}") from error


def _zstd_lines(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    zstandard = _optional_module("zstandard", path)
    pending = b""
    try:
        for chunk in _zstd_chunks(zstandard, raw):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                yield line + b"\n"
    except zstandard.ZstdError as error:
        raise ValueError(f"{path} is a damaged or truncated zstd file: {error}") from error
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


def _optional_module(name: str, path: Path) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs the package {name}: pip install 'unblank[data]'"
        ) from error


def _decoded(path: Path, lines: Iterable[bytes]) -> Iterator[str]:
    """Yield lines as text, with Unix line ends and without a byte order mark."""
    offset = 0
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            where = offset + error.start
            unpacked = " after decompression" if path.suffix in (".gz", ".zst") else ""
            raise ValueError(
                f"{path}, line {number}, is not UTF-8: byte {where}{unpacked} is "
                f"0x{line[error.start]:02x} ({error.reason}). Convert it, for example: "
                f"iconv -f {likely_encoding(line)} -t UTF-8"
            ) from error
        if offset == 0:
            text = text.removeprefix("\ufeff")
        offset += len(line)
        yield text.removesuffix("\r\n") + "\n" if text.endswith("\r\n") else text


def likely_encoding(line: bytes) -> str:
    """Return what a line that is not UTF-8 may be in, as iconv calls it.

    Example:
        >>> likely_encoding("wide".encode("utf-16")), likely_encoding(bytes([0x61, 0xe9]))
        ('UTF-16', 'LATIN1')
    """
    if line.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    is_wide = line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line
    return "UTF-16" if is_wide else "LATIN1"


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    block: list[str] = []
    for line in lines:
        if line.strip():
            block.append(line)
        elif block:
            yield "".join(block).rstrip("\n")
            block = []
    if block:
        yield "".join(block).rstrip("\n")


def _json_documents(path: Path, lines: Iterable[str], text_field: str) -> Iterator[str]:
    for place, _, record in read_objects(path, lines):
        yield _text_of(record, text_field, place)


def _text_of(record: dict[str, Any], text_field: str, where: str) -> str:
    if text_field not in record:
        raise ValueError(f"{where}: {_no_field(text_field, list(record))}")
    text = record[text_field]
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ValueError(f"{where}: field {text_field!r} is a {_kind(text)}, not a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: field {text_field!r} has half of a surrogate pair at character "
            f"{error.start}, which is not valid Unicode"
        ) from error
    return text


def _no_field(text_field: str, present: list[str]) -> str:
    near = difflib.get_close_matches(text_field, present, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"there is no field {text_field!r}, only {', '.join(map(repr, present)) or 'none'}{hint}"
        " (set text_field; for pairs give FILE:SOURCE_FIELD:TARGET_FIELD)"
    )


def _kind(value: object) -> str:
    names = {list: "list", dict: "object", int: "number", float: "number", bool: "truth value"}
    return names.get(type(value), "string" if isinstance(value, str) else "null")


def _parquet_documents(path: Path, text_field: str) -> Iterator[str]:
    parquet = _optional_module("pyarrow.parquet", path).parquet
    arrow = _optional_module("pyarrow", path)
    try:
        with parquet.ParquetFile(path) as table:
            if text_field not in table.schema_arrow.names:
                raise ValueError(f"{path}: {_no_field(text_field, table.schema_arrow.names)}")
            kind = table.schema_arrow.field(text_field).type
            if not (arrow.types.is_string(kind) or arrow.types.is_large_string(kind)):
                raise ValueError(f"{path}: column {text_field!r} has type {kind}, not string")
            for batch in table.iter_batches(batch_size=256, columns=[text_field]):
                for text in batch.column(0).to_pylist():
                    yield text or ""
    except arrow.ArrowException as error:
        raise ValueError(f"{path} is a damaged parquet file: {error}") from error
