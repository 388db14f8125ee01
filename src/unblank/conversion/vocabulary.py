"""Finding the vocabulary files of a published model, by name and content; nothing is built here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.lfs_pointer import refuse_pointer
from unblank.untrusted.plain_text import read_plain_text

__all__ = ["PublishedVocabulary", "find_vocabulary", "read_merges", "read_token_ids"]

VocabularyKind = Literal["wordpiece", "bpe", "sentencepiece", "tokenizer.json"]

_SUFFIXES: dict[VocabularyKind, tuple[str, ...]] = {
    "wordpiece": ("vocab.txt",),
    "bpe": ("vocab.json", "encoder.json"),
    "sentencepiece": (".model",),
    "tokenizer.json": ("tokenizer.json",),
}
"""Endings of vocabulary files; a ready tokenizer is used only if there is nothing else."""
_MERGES_SUFFIXES = ("merges.txt", "vocab.bpe")
_EXPECTED = "vocab.txt, vocab.json with merges.txt, a SentencePiece .model, or tokenizer.json"


@dataclass(frozen=True, slots=True)
class PublishedVocabulary:
    """A vocabulary on disk.

    Attributes:
        kind: how it cuts text.
        files: the vocabulary, and for "bpe" its merges.
    """

    kind: VocabularyKind
    files: tuple[Path, ...]


def find_vocabulary(path: Path) -> PublishedVocabulary | None:
    """Return the vocabulary at `path`, a file or a folder; None if a folder has none.

    Raises:
        FileNotFoundError: no such path, or a vocab.json without its merges.
        ValueError: a file of no known name, or a folder with several vocabularies.
    """
    if path.is_file():
        kind = _kind(path)
        if kind is None:
            raise ValueError(f"{path} is not a supported vocabulary file: give {_EXPECTED}")
        return _complete(kind, path)
    if not path.is_dir():
        raise FileNotFoundError(f"there is no vocabulary at {path}: give {_EXPECTED}")
    found = [(kind, file) for file in sorted(path.iterdir()) if (kind := _kind(file)) is not None]
    raw = [(kind, file) for kind, file in found if kind != "tokenizer.json"]
    chosen = raw or found
    if len(chosen) > 1:
        names = ", ".join(file.name for _, file in chosen)
        raise ValueError(
            f"{path} has several vocabularies ({names}): give one of them with --tokenizer"
        )
    return _complete(*chosen[0]) if chosen else None


def read_token_ids(vocabulary: PublishedVocabulary) -> dict[str, int]:
    """Return string -> id of a WordPiece or BPE vocabulary.

    Raises:
        ValueError: damaged, or ids that are not 0, 1, 2, ...
    """
    path = vocabulary.files[0]
    if vocabulary.kind == "wordpiece":
        lines = read_plain_text(path).split("\n")
        ids = {line.rstrip("\r"): i for i, line in enumerate(lines) if line.strip("\r")}
    else:
        ids = read_json_object(path)
    are_numbers = all(type(one) is int for one in ids.values())
    if not ids or not are_numbers or sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(
            f"{path} is damaged: its tokens do not have the ids 0, 1, 2, ... once each"
        )
    return ids


def read_merges(vocabulary: PublishedVocabulary) -> list[tuple[str, str]]:
    """Return the merges of a BPE vocabulary, best first.

    Raises:
        ValueError: a line that is not two pieces.
    """
    path = vocabulary.files[1]
    lines = read_plain_text(path).split("\n")
    pairs = [tuple(line.split()) for line in lines if line.strip() and not line.startswith("#v")]
    for number, pair in enumerate(pairs, start=1):
        if len(pair) != 2:
            raise ValueError(f"{path} is damaged: merge {number} is {' '.join(pair)!r}")
    return [(pair[0], pair[1]) for pair in pairs]


def _kind(path: Path) -> VocabularyKind | None:
    name = path.name.lower()
    return next((kind for kind, ends in _SUFFIXES.items() if name.endswith(ends)), None)


def _complete(kind: VocabularyKind, path: Path) -> PublishedVocabulary:
    refuse_pointer(path)
    if kind != "bpe":
        return PublishedVocabulary(kind, (path,))
    merges = [
        file for file in path.parent.iterdir() if file.name.lower().endswith(_MERGES_SUFFIXES)
    ]
    name = path.name.lower()
    prefix = next(path.name[: -len(end)] for end in _SUFFIXES["bpe"] if name.endswith(end))
    own = [file for file in merges if file.name.startswith(prefix)] if prefix else merges
    if len(own) != 1:
        raise FileNotFoundError(
            f"{path} needs its merges beside it ({prefix}merges.txt); found "
            f"{', '.join(sorted(file.name for file in merges)) or 'none'}"
        )
    return PublishedVocabulary(kind, (path, own[0]))
