"""An index of passages made by all processes that torchrun started; a run that was killed goes on.

To cut documents into passages and passages into words is nine tenths of the work: that is shared.
The main process numbers the words of all, in the order of the documents, so that the index is the
same byte for byte, whatever number of processes made it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from unblank.answering.together import RecordWindow, SharedAnswers
from unblank.atomic_folders import absent_folders, used_folder
from unblank.data.sources import TextFiles
from unblank.engine.replicas import join_replicas
from unblank.retrieval.index import (
    CutDocument,
    IndexReport,
    cut_document,
    require_room,
    write_index,
)
from unblank.retrieval.words import WORDS

__all__ = ["index_texts"]

_CHARACTERS = 2**18
"""Of the documents that a process cuts at a time: some tenths of a second."""

_AT_ONCE = 16
"""Numbers of such groups that are read before they are shared out."""

_Group = list[tuple[str, str]]
"""Neighbouring documents: (place, text) of each."""


def index_texts(
    texts: TextFiles, output: Path, *, passage_words: int, overwrite: bool
) -> IndexReport | None:
    """Write an index of texts; return what it holds, in the main process.

    Args:
        texts: the documents.
        output: new folder; what is found before all are cut is beside it.
        passage_words: most words of a passage.
        overwrite: replace the index that is there, and what another task left of one.

    Raises:
        FileExistsError: the folder is there, and is no index or is not to be replaced.
        ValueError: a text cannot be read, no passage is left, or another command's unfinished work.
        ImportError: the package bm25s is missing.
    """
    require_room(output, replace=overwrite)
    task = {
        "command": "index",
        "texts": _content_hash(texts),
        "passage_words": passage_words,
        "divided_into": WORDS,
    }
    with join_replicas() as world:
        absent = world.gather(absent_folders(output.parent))[0]
        with used_folder(output.parent, absent):
            shared = SharedAnswers(world, output, task, batch_size=1, overwrite=overwrite)

            def cut(groups: Sequence[_Group]) -> list[list[Any]]:
                return [
                    [[place, *_plain(cut_document(text, passage_words))] for place, text in group]
                    for group in groups
                ]

            shared.answer(
                _windows(texts),
                _num_characters,
                cut,
                doing="index",
                what=("group of documents", "groups of documents"),
            )
            report = None
            try:
                if world.is_main:
                    report = write_index(
                        _documents(shared), output, passage_words=passage_words, replace=overwrite
                    )
            except ValueError:  # no index can be made of these texts, today or tomorrow
                shared.discard()
                raise
            shared.discard()
            return report


def _windows(texts: TextFiles) -> Iterator[RecordWindow[_Group]]:
    groups, first = _groups(texts), 0
    while window := list(islice(groups, _AT_ONCE)):
        yield RecordWindow(dict(enumerate(window, start=first)))
        first += len(window)


def _groups(texts: TextFiles) -> Iterator[_Group]:
    """Yield all documents, so many together that they have about the same length."""
    group: _Group = []
    length = 0
    for place, text in texts.placed_texts():
        group.append((place, text))
        length += len(text)
        if length >= _CHARACTERS:
            yield group
            group, length = [], 0
    if group:
        yield group


def _num_characters(group: _Group) -> int:
    return sum(len(text) for _, text in group)


def _plain(document: CutDocument) -> list[Any]:
    return [document.passages, document.without_words, document.with_blanks]


def _documents(shared: SharedAnswers) -> Iterator[tuple[str, CutDocument]]:
    for _, group in shared:
        for place, *found in group:
            yield place, CutDocument(*found)


def _content_hash(texts: TextFiles) -> str:
    """Return a hash of all places and texts, by which they are known again."""
    found = hashlib.sha256()
    for place, text in texts.placed_texts():
        for part in (place, text):
            content = part.encode("utf-8", "surrogatepass")
            found.update(len(content).to_bytes(8, "big") + content)
    return found.hexdigest()
