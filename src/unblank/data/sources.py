"""Documents from files of every format, plain or compressed, one after another.

Streams: one document is in memory at a time (a `.txt` file read as one document, and a `.json` that
is not an object a line, are the exceptions). A fault in a file is reported with its name and place;
nothing is guessed or passed over, except documents without any visible character, which are
counted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, Literal

from unblank.data.fields import is_visible, no_field, with_nested
from unblank.data.hold_out import HashPart
from unblank.data.lines import read_lines
from unblank.data.records import is_text, read_records
from unblank.data.unpacking import joined

__all__ = ["TextFiles", "TextUnit"]

TextUnit = Literal["file", "paragraph", "line"]
"""What a document of a `.txt` file is: the file, a block between blank lines, or a line."""

_Placed = tuple[str, str]
"""(place, text): `FILE, line N` where the text begins."""


@dataclass(slots=True, kw_only=True)
class TextFiles:
    r"""The documents of some files, as often as it is iterated over.

    The counters start again with each iteration and are complete when it ends.

    Attributes:
        paths: files to read, in this order (see `unblank.data.files`).
        text_field: key or column that holds the text, where a file has several.
        text_unit: what makes one document of a `.txt` file.
        fields: of the text of each file, where not all have `text_field`.
        part: which side of a division by hash is given out; None for all documents.
        num_documents: documents given out so far.
        num_empty: documents passed over because they hold nothing visible, or null.
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
    fields: tuple[str, ...] = ()
    part: HashPart | None = None
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
        for path, text_field in self._fields():
            num_bytes_before = self.num_bytes_read
            for _, text in self._placed(path, text_field):
                if not is_visible(text):
                    self.num_empty += 1
                    continue
                if self.part is not None and not self.part.has(text):
                    continue
                self.num_documents += 1
                self.num_characters += len(text)
                yield text
            self.num_bytes_read = num_bytes_before + path.stat().st_size

    def placed_texts(self) -> Iterator[_Placed]:
        """Yield every text, empty ones too, after its place; errors as in `__iter__`."""
        for path, text_field in self._fields():
            yield from self._placed(path, text_field)

    def _fields(self) -> Iterator[tuple[Path, str]]:
        yield from zip(self.paths, self.fields or [self.text_field] * len(self.paths), strict=True)

    def _placed(self, path: Path, text_field: str) -> Iterator[_Placed]:
        num_bytes_before = self.num_bytes_read

        def on_read(num_bytes: int) -> None:
            self.num_bytes_read = num_bytes_before + num_bytes

        if is_text(path) and self.text_unit != "line":
            lines = read_lines(path, on_read)
            if self.text_unit == "paragraph":
                yield from _paragraphs(path, lines)
            else:
                yield str(path), joined(lines, str(path), "set text_unit to paragraph or line")
            return
        name = "text" if is_text(path) else text_field
        for place, record in read_records(path, (name,), on_read=on_read):
            yield place, _text_of(record, name, place)


def _paragraphs(path: Path, lines: Iterable[str]) -> Iterator[_Placed]:
    numbered = enumerate(lines, start=1)
    for first, line in numbered:
        if line.strip():
            place = f"{path}, line {first}"
            rest = takewhile(str.strip, (line for _, line in numbered))
            block = joined(chain([line], rest), place, "set text_unit to line, or divide it")
            yield place, block.rstrip("\n")


def _text_of(record: dict[str, Any], name: str, place: str) -> str:
    fields = record if name in record else with_nested(record)
    if name not in fields:
        raise ValueError(
            f"{place}: {no_field(record, name)} (set text_field; for pairs give "
            "FILE:SOURCE_FIELD:TARGET_FIELD)"
        )
    text = fields[name]
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ValueError(f"{place}: field {name!r} is a {_kind(text)}, not a string")
    return text


def _kind(value: object) -> str:
    names = {list: "list", dict: "object", int: "number", float: "number", bool: "truth value"}
    return names.get(type(value), type(value).__name__)
