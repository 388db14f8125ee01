"""An index of passages: a folder with the passages, BM25's numbers, and a record that guards them.

BM25 is that of the package bm25s (the extra `retrieval`), as Lucene computes it (Kamphuis et al.
2020, "Which BM25 do you mean?"), with k1 = 1.5 and b = 0.75. Nothing in the folder is a pickle.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unblank.atomic_folders import new_folder
from unblank.extras import optional_package, require_package
from unblank.generation.passages import Passage
from unblank.integrity import (
    facts_of_files,
    file_facts,
    find_damage,
    read_record,
    seal,
    write_atomically,
)
from unblank.retrieval.cutting import cut_passages
from unblank.retrieval.words import WORDS, search_words
from unblank.tokenization.special import BLANK_TOKENS
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.links import refuse_links_out
from unblank.untrusted.npy import require_whole_array
from unblank.version import __version__

__all__ = [
    "CutDocument",
    "IndexReport",
    "PassageIndex",
    "cut_document",
    "require_room",
    "write_index",
]

_RECORD_NAME = "index.json"
_PASSAGES_NAME = "passages.jsonl"
_VOCABULARY_NAME, _PARAMETERS_NAME = "vocab.index.json", "params.index.json"
_OTHER_NAMES = (_PASSAGES_NAME, _VOCABULARY_NAME, _PARAMETERS_NAME)
_ARRAY_NAMES = ("data.csc.index.npy", "indices.csc.index.npy", "indptr.csc.index.npy")
_PURPOSE = "an index of passages"
_BM25: Mapping[str, Any] = {"k1": 1.5, "b": 0.75, "delta": 0.5, "method": "lucene"}
_TYPES: Mapping[str, Any] = {"dtype": "float32", "int_dtype": "int32", "backend": "numpy"}


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an index holds.

    Attributes:
        documents: that were read.
        passages: that can be found.
        words: different ones.
        without_words: passages left out, since nothing could find them.
        with_blanks: passages left out, since no model may read a blank there.
    """

    documents: int
    passages: int
    words: int
    without_words: int
    with_blanks: int


@dataclass(frozen=True, slots=True)
class CutDocument:
    """A document as an index takes it.

    Attributes:
        passages: text of each that can be found, and the words that find it.
        without_words: passages left out, since nothing could find them.
        with_blanks: passages left out, since no model may read a blank there.
    """

    passages: list[tuple[str, list[str]]]
    without_words: int
    with_blanks: int


def cut_document(text: str, passage_words: int) -> CutDocument:
    """Return the passages of a document, of at most so many words each.

    Example:
        >>> cut_document("One two. Three four five.", 3).passages
        [('One two.', ['one', 'two']), ('Three four five.', ['three', 'four', 'five'])]
    """
    passages: list[tuple[str, list[str]]] = []
    without_words = with_blanks = 0
    for passage in cut_passages(text, passage_words):
        found = search_words(passage)
        if any(token in passage for token in BLANK_TOKENS):
            with_blanks += 1
        elif not found:
            without_words += 1
        else:
            passages.append((passage, found))
    return CutDocument(passages, without_words, with_blanks)


def write_index(
    documents: Iterable[tuple[str, CutDocument]],
    output: Path,
    *,
    passage_words: int,
    replace: bool = False,
) -> IndexReport:
    """Write an index of documents, and return what it holds.

    The same documents make the same bytes: words are numbered as they come.

    Args:
        documents: (place, what `cut_document` made) of each; a place is such as `FILE, line N`.
        output: new folder.
        passage_words: with which they were cut.
        replace: put it in the place of an index that is there.

    Raises:
        FileExistsError: the folder is there, and is no index or is not to be replaced.
        ValueError: no passage is left; or what the documents raise.
        ImportError: the package bm25s is missing.
    """
    require_room(output, replace=replace)
    with new_folder(output, replace=replace) as folder:
        num_documents = without_words = with_blanks = 0
        vocabulary: dict[str, int] = {}
        word_ids: list[array[int]] = []  # four bytes a word
        with (folder / _PASSAGES_NAME).open("w", encoding="utf-8") as file:
            for place, document in documents:
                num_documents += 1
                without_words += document.without_words
                with_blanks += document.with_blanks
                for passage, words in document.passages:
                    ids = (vocabulary.setdefault(word, len(vocabulary)) for word in words)
                    word_ids.append(array("i", ids))
                    line = json.dumps({"place": place, "text": passage}, ensure_ascii=False)
                    file.write(f"{line}\n")
        if not word_ids:
            raise ValueError("there is no passage with a word in the text: nothing can be found")
        bm25 = optional_package("bm25s", _PURPOSE).BM25(**_BM25, **_TYPES)
        bm25.index((word_ids, vocabulary), create_empty_token=False, show_progress=False)
        bm25.save(folder, show_progress=False)
        record = {
            "made_by": f"unblank {__version__} index",
            "divided_into": WORDS,
            "passage_words": passage_words,
            "passages": len(word_ids),
            "files": facts_of_files(folder),
        }
        write_atomically(folder / _RECORD_NAME, seal(record, readable=True))
    return IndexReport(num_documents, len(word_ids), len(vocabulary), without_words, with_blanks)


def require_room(output: Path, *, replace: bool) -> None:
    """Raise unless an index can be written to a folder; arguments and errors as `write_index`."""
    require_package("bm25s", _PURPOSE)
    if output.exists() and not (replace and (output / _RECORD_NAME).is_file()):
        advice = (
            "that is not an index" if replace else "choose another --output, or add --overwrite"
        )
        raise FileExistsError(f"{output} exists: {advice}")


class PassageIndex:
    """An index that is searched.

    Attributes:
        sha256: of its record, which names all its files.
        passage_words: most words of a passage.

    Raises:
        FileNotFoundError: there is no index.
        ValueError: it is damaged, or its passages are divided into words in another way.
        ImportError: the package bm25s is missing.
    """

    def __init__(self, folder: Path) -> None:
        refuse_links_out(folder)
        if not (folder / _RECORD_NAME).is_file():
            raise FileNotFoundError(
                f"{folder} is not an index of passages: it has no {_RECORD_NAME}; `unblank index` "
                "makes one"
            )
        if damage := find_damage(folder, _RECORD_NAME):
            raise ValueError(f"the index {folder} is damaged: {damage}: make it again")
        self.sha256 = str(file_facts(folder / _RECORD_NAME)["sha256"])
        record = read_record(folder / _RECORD_NAME)
        self.passage_words = record.get("passage_words")
        if missing := {*_ARRAY_NAMES, *_OTHER_NAMES} - set(record.get("files", {})):
            raise ValueError(
                f"the index {folder} is damaged: {_RECORD_NAME} says nothing of "
                f"{', '.join(sorted(missing))}: make it again"
            )
        if record.get("divided_into") != WORDS:
            raise ValueError(
                f"the index {folder} divides text into {record.get('divided_into')!r}, this "
                f"version into {WORDS!r}: make it again"
            )
        try:
            self._passages = list(_read_passages(folder / _PASSAGES_NAME))
            self._bm25 = _read_bm25(folder, len(self._passages))
        except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
            raise ValueError(f"the index {folder} is damaged: {error}: make it again") from error

    def __len__(self) -> int:
        return len(self._passages)

    def search(self, text: str, top: int) -> list[Passage]:
        """Return the passages that fit a text best, best first, with their BM25 scores.

        A passage without a word in common with the text is not among them; of equal ones, the first
        of the index comes first.

        Args:
            text: any text; its blanks are not searched for.
            top: most passages.
        """
        for token in BLANK_TOKENS:
            text = text.replace(token, " ")
        words = [word for word in search_words(text) if word in self._bm25.vocab_dict]
        if not words:
            return []
        scores = self._bm25.get_scores(words)
        best = np.argsort(-scores, kind="stable")[:top].tolist()
        return [
            Passage(text, float(scores[number]), place)
            for number in best
            if scores[number] > 0
            for place, text in [self._passages[number]]
        ]


def _read_passages(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                yield str(record["place"]), str(record["text"])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise ValueError(f"{path.name}, line {number} holds no passage") from error


def _read_bm25(folder: Path, num_passages: int) -> Any:
    """Return what finds the passages, if its numbers can be what they should be."""
    for name in _ARRAY_NAMES:
        require_whole_array(folder / name)
    given = read_json_object(folder / _PARAMETERS_NAME)
    expected = {**_BM25, **_TYPES, "num_docs": num_passages}
    for name, value in expected.items():
        if given.get(name) != value:
            raise ValueError(f"{_PARAMETERS_NAME} has {name} {given.get(name)!r}, not {value!r}")
    read_json_object(folder / _VOCABULARY_NAME)  # that it is one, and not too large
    found = optional_package("bm25s", _PURPOSE).BM25.load(folder, show_progress=False)
    data, rows, ends = (found.scores[name] for name in ("data", "indices", "indptr"))
    ids = np.array(list(found.vocab_dict.values()))
    if not (
        data.ndim == rows.ndim == ends.ndim == ids.ndim == 1
        and len(data) == len(rows) == int(ends[-1])
        and all(array.dtype.kind in "iu" for array in (rows, ends, ids))
        and data.dtype.kind == "f"
        and np.isfinite(data).all()
        and ends[0] == 0
        and (np.diff(ends) >= 0).all()
        and rows.min() >= 0
        and rows.max() < num_passages
        and ids.min() >= 0
        and ids.max() < len(ends) - 1
    ):
        raise ValueError("its numbers do not fit together")
    return found
