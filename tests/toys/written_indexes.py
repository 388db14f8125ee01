"""Indexes of passages of a few texts."""

from collections.abc import Iterable
from pathlib import Path

from unblank.retrieval.index import IndexReport, cut_document, write_index


def index_of(documents: Iterable[tuple[str, str]], folder: Path) -> IndexReport:
    """Write an index of (place, text) of some documents."""
    cut = ((place, cut_document(text, 100)) for place, text in documents)
    return write_index(cut, folder, passage_words=100)
