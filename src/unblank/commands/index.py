"""`unblank index`: makes an index of passages of one's own files, for `--retrieve`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import PathText, Positional
from unblank.settings.ranges import OneOrMore, Positive, check_values

__all__ = ["IndexSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexSettings:
    """Make an index of the passages of your files, in which BM25 finds those that fit a text.

    unblank index encyclopedia/*.jsonl --output facts_index
    """

    files: OneOrMore[Positional[tuple[PathText, ...]]]
    """Files, folders or globs of text, of any format (docs/data.md), in any languages."""

    output: Path
    """New folder for the index."""

    passage_words: Positive[int] = 100
    """Most words of a passage, which ends with a sentence where it can; a character is a word where
    no spaces divide words. A model needs positions for a passage with the text behind it."""

    text_field: str = "text"
    """Field that holds the text, in files with fields."""

    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What a document of a .txt file is: the file, a block between blank lines, or a line."""

    overwrite: bool = False
    """Replace the index that the output folder already has, and what another command left of
    one."""

    def __post_init__(self) -> None:
        check_values(self)


parse = partial(parse_settings, "index", IndexSettings)


def run(settings: IndexSettings) -> None:
    """Make an index and print what it holds; torchrun's processes share out the documents.

    Raises:
        FileExistsError: the output folder is there and no index, or `overwrite` is not set.
        FileNotFoundError: a path matches no file.
        ValueError: a file cannot be read, no passage is in them, or another command's unfinished
            work is there.
        ImportError: the extra `retrieval` is missing.
    """
    from rich.table import Table

    from unblank.answering.indexing import index_texts
    from unblank.consoles import TextConsole
    from unblank.data.files import find_files
    from unblank.data.sources import TextFiles
    from unblank.retrieval.index import require_room

    require_room(settings.output, replace=settings.overwrite)
    documents = TextFiles(
        paths=find_files(settings.files),
        text_field=settings.text_field,
        text_unit=settings.text_unit,
    )
    report = index_texts(
        documents,
        settings.output,
        passage_words=settings.passage_words,
        overwrite=settings.overwrite,
    )
    if report is None:  # the main process prints it
        return
    table = Table("index", str(settings.output), title="Indexed")
    table.add_row("documents", f"{report.documents:,}")
    table.add_row("passages", f"{report.passages:,}")
    table.add_row("different words", f"{report.words:,}")
    if report.without_words:
        table.add_row("passages left out: no word", f"{report.without_words:,}")
    if report.with_blanks:
        table.add_row("passages left out: a blank in them", f"{report.with_blanks:,}")
    TextConsole().print(table)
