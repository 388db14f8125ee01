"""Corpora tokenised once: memory-mapped ids with random access to every document.

A prepared corpus is a folder named by its content (texts, tokenizer, settings): `tokens.bin` holds
the ids of all documents end to end, `offsets.bin` where each begins, `manifest.json` the counts and
checksums against which both are checked when opened. To read the ids costs less than to read the
texts, which finding the folder needs anyway. A folder appears whole or not at all (it is built
under another name and renamed), so runs that prepare at once or are killed leave nothing wrong.
The ids are those of text alone; samplers add the special tokens.
"""

import hashlib
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from unblank.data.files import find_files
from unblank.data.formats import FORMATS, compression_of, format_of
from unblank.data.sources import TextFiles, TextUnit
from unblank.examples import IntArray
from unblank.integrity import MANIFEST_NAME, read_record, seal
from unblank.plurals import counted
from unblank.progress_bars import progress_bar, track
from unblank.settings.ranges import check_count
from unblank.tokenization.encoding import text_encoder
from unblank.unicode import require_unicode
from unblank.whole_folders import new_folder, remove_folder, remove_leftovers

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = ["SHARDS_NAME", "PreparedCorpus", "encode_documents", "prepare_corpus"]

SHARDS_NAME = "shards"
"""Name of the folder of tokenized text, beside the folders of runs."""

FORMAT_VERSION = 1

_BATCH_CHARACTERS = 500_000
"""Number of characters that one thread encodes at a time."""

_PIECE_CHARACTERS = 50_000
"""Longer documents are encoded in pieces of about this size, to bound memory."""

_COUNTED_AT_ONCE = 2**24
"""Number of tokens that are counted at a time, to bound memory."""

_CUT = re.compile(r"(?<=\w)(?=\s\w)")
"""The place before a single white space between words, where no tokenizer joins both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusReport:
    """What became of the documents of a corpus.

    Attributes:
        num_read: documents found, empty ones included.
        num_empty: skipped because they hold nothing but white space.
        num_short: skipped because they have fewer tokens than `min_tokens`.
        num_kept: documents in the corpus.
        num_tokens: tokens of the kept documents.
        min_tokens: fewest tokens of a kept document.
    """

    num_read: int
    num_empty: int
    num_short: int
    num_kept: int
    num_tokens: int
    min_tokens: int


class PreparedCorpus:
    """Documents as token ids, by number, read from disk where they are asked for.

    Pickles as the name of its folder, so that worker processes map the files themselves.

    Attributes:
        folder: where the corpus lies.
        report: what was kept and skipped when it was prepared.
        num_tokens: tokens of all documents.
    """

    def __init__(self, folder: Path, *, is_checked: bool = False) -> None:
        """Open and check a prepared corpus.

        Args:
            folder: of the corpus.
            is_checked: whether this program has checked the tokens before.

        Raises:
            ValueError: if a file is missing, cut or altered; the message names it.
        """
        self.folder = Path(folder)
        manifest = _read_manifest(self.folder)
        self.report = manifest.report
        self.num_tokens = self.report.num_tokens
        self._offsets = _mapped(
            self.folder / "offsets.bin", np.dtype(np.int64), self.report.num_kept + 1
        )
        self._tokens = _mapped(self.folder / "tokens.bin", manifest.dtype, self.num_tokens)
        if _checksum(self._offsets) != manifest.offsets_checksum:
            raise ValueError(f"{self.folder / 'offsets.bin'} is damaged: its checksum differs")
        if manifest.tokens_sha256 is not None and not is_checked:
            _require_hash(self.folder / "tokens.bin", manifest.tokens_sha256)

    def __reduce__(self) -> tuple[Callable[[Path], "PreparedCorpus"], tuple[Path]]:
        return (_reopened, (self.folder,))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __repr__(self) -> str:
        return f"PreparedCorpus({len(self):,} documents, {self.num_tokens:,} tokens, {self.folder})"

    @property
    def lengths(self) -> IntArray:
        """Tokens of each document, int64[number of documents]."""
        return np.diff(self._offsets)

    def document_length(self, index: int) -> int:
        """Return the number of tokens of document `index`."""
        self._check(index)
        return int(self._offsets[index + 1] - self._offsets[index])

    def tokens(self, index: int, start: int = 0, stop: int | None = None) -> IntArray:
        """Return tokens `start` to `stop` (exclusive; None = the end) of a document, int64[n].

        Raises:
            IndexError: if there is no such document, or it has no such tokens.
        """
        length = self.document_length(index)
        stop = length if stop is None else stop
        if not 0 <= start <= stop <= length:
            raise IndexError(f"tokens {start}:{stop} of document {index}, which has {length}")
        begin = int(self._offsets[index])
        return self._tokens[begin + start : begin + stop].astype(np.int64)

    def count_tokens(self, num_tokens: int) -> IntArray:
        """Return how often each token occurs, int64[`num_tokens`], the size of the vocabulary."""
        counts = np.zeros(num_tokens, np.int64)
        for start in range(0, self.num_tokens, _COUNTED_AT_ONCE):
            piece = self._tokens[start : start + _COUNTED_AT_ONCE]
            counts += np.bincount(piece, minlength=num_tokens)
        return counts

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of a corpus of {len(self)}")


def prepare_corpus(
    texts: TextFiles | str | Path | Sequence[str | Path],
    tokenizer: "PreTrainedTokenizerFast",
    *,
    cache_dir: str | Path,
    text_field: str = "text",
    text_unit: TextUnit = "file",
    min_tokens: int = 2,
    num_threads: int | None = None,
    show_progress: bool = True,
) -> PreparedCorpus:
    """Return the corpus of one source, tokenised now or found ready from an earlier call.

    Args:
        texts: files, folders or glob patterns of one source, or opened files, which know their
            own `text_field` and `text_unit`.
        tokenizer: a transformers tokenizer; special tokens inside the text are read as text.
        cache_dir: folder that holds prepared corpora, made if absent.
        text_field: key or column of the text in `.jsonl` and `.parquet`.
        text_unit: what one document of a `.txt` file is: "file", "paragraph" or "line".
        min_tokens: documents with fewer tokens are skipped and counted.
        num_threads: threads that tokenise; None takes one a core.
        show_progress: show bars and notes on the error stream.

    Raises:
        FileNotFoundError: if a path matches no file.
        ValueError: if a file is broken, or no document is left.
        OSError: if the cache cannot be written, for example because the disk is full.
    """
    check_count(min_tokens, "min_tokens")
    if not isinstance(texts, TextFiles):
        texts = TextFiles(paths=find_files(texts), text_field=text_field, text_unit=text_unit)
    core = text_encoder(tokenizer)
    settings: dict[str, Any] = {
        "text_field": texts.text_field,
        "text_unit": texts.text_unit,
        "min_tokens": min_tokens,
    }
    if texts.fields:
        settings["fields"] = list(texts.fields)
    if texts.part is not None:
        settings["part"] = [texts.part.threshold, texts.part.is_held_out]
    name = _content_hash(texts.paths, core, settings)
    cache = Path(cache_dir)
    cache.mkdir(parents=True, exist_ok=True)
    remove_leftovers(cache)
    folder = cache / name
    if folder.exists():
        try:
            return PreparedCorpus(folder)
        except ValueError as error:
            if show_progress:
                Console(stderr=True).print(f"{error}\nPreparing this corpus again.", style="yellow")
            remove_folder(folder)
    try:
        with new_folder(folder) as building, progress_bar(show=show_progress) as progress:
            documents = track(texts, progress, "tokenising")
            _build(building, documents, texts, core, min_tokens, num_threads or _num_cores())
    except OSError:
        # If another run was first, its folder is as good.
        if not folder.exists():
            raise
    return PreparedCorpus(folder)


def _build(
    building: Path,
    documents: Iterable[str],
    texts: TextFiles,
    core: "Tokenizer",
    min_tokens: int,
    num_threads: int,
) -> None:
    largest_id = max(core.get_vocab().values())
    # Half the disk and half the page cache where the vocabulary allows it.
    dtype = np.dtype(np.uint16 if largest_id < 2**16 else np.uint32)
    lengths: list[int] = []
    num_short = 0
    digest = hashlib.sha256()
    with (building / "tokens.bin").open("wb") as file:
        for ids in encode_documents(documents, core, dtype, num_threads):
            if len(ids) < min_tokens:
                num_short += 1
                continue
            lengths.append(len(ids))
            content = ids.tobytes()
            digest.update(content)
            file.write(content)
        _flush_to_disk(file)
    report = CorpusReport(
        num_read=texts.num_documents + texts.num_empty,
        num_empty=texts.num_empty,
        num_short=num_short,
        num_kept=len(lengths),
        num_tokens=sum(lengths),
        min_tokens=min_tokens,
    )
    if not lengths:
        raise ValueError(_nothing_left(report, texts))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    manifest = {
        "format_version": FORMAT_VERSION,
        "dtype": dtype.name,
        "offsets_checksum": _checksum(offsets),
        "tokens_sha256": digest.hexdigest(),
        "report": asdict(report),
        "sources": [str(path) for path in texts.paths],
    }
    for name, content in (
        ("offsets.bin", offsets.tobytes()),
        (MANIFEST_NAME, seal(manifest).encode()),
    ):
        with (building / name).open("wb") as file:
            file.write(content)
            _flush_to_disk(file)


def _nothing_left(report: CorpusReport, texts: TextFiles) -> str:
    return (
        f"no document to train on in {texts.shown_paths}: {report.num_read} read, "
        f"{report.num_empty} without text, {report.num_short} with fewer than "
        f"{counted(report.min_tokens, 'token')}"
    )


def encode_documents(
    documents: Iterable[str],
    core: "Tokenizer",
    dtype: np.dtype[Any],
    num_threads: int | None = None,
) -> Iterator[NDArray[Any]]:
    """Yield the ids of each document in order; threads work ahead by two batches each.

    Threads do, as the tokenizer works outside Python's lock; they need no second copy of it and
    no guarded main module, as processes would.

    Args:
        documents: texts, read no further ahead than the threads need.
        core: tokenizer, as `text_encoder` gives it.
        dtype: of the ids.
        num_threads: None for one per core.
    """
    num_threads = num_threads or _num_cores()
    with ThreadPoolExecutor(num_threads) as pool:
        pending: deque[Future[list[NDArray[Any]]]] = deque()
        for batch in _batches(documents):
            pending.append(pool.submit(_encode_batch, core, batch, dtype))
            # Bounds the text in memory. The oldest batch is awaited, which keeps the order.
            if len(pending) > 2 * num_threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    num_characters = 0
    for document in documents:
        batch.append(document)
        num_characters += len(document)
        if num_characters >= _BATCH_CHARACTERS:
            yield batch
            batch, num_characters = [], 0
    if batch:
        yield batch


def _encode_batch(core: "Tokenizer", batch: list[str], dtype: np.dtype[Any]) -> list[NDArray[Any]]:
    encoded: list[NDArray[Any]] = []
    for document in batch:
        require_unicode(document, "a document")
        pieces = core.encode_batch_fast(_pieces(document), add_special_tokens=False)
        encoded.append(np.concatenate([np.array(piece.ids, dtype=dtype) for piece in pieces]))
    return encoded


def _pieces(document: str) -> list[str]:
    pieces: list[str] = []
    start = 0
    while len(document) - start > _PIECE_CHARACTERS:
        cut = _CUT.search(document, start + _PIECE_CHARACTERS)
        if cut is None:
            break
        pieces.append(document[start : cut.start()])
        start = cut.start()
    return [*pieces, document[start:]]


def _content_hash(paths: Sequence[Path], core: "Tokenizer", settings: dict[str, Any]) -> str:
    """Hash what decides the ids: contents and kinds of the files, tokenizer, settings, format."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(json.dumps([FORMAT_VERSION, settings], sort_keys=True).encode())
    digest.update(hashlib.blake2b(core.to_str().encode()).digest())
    for path in paths:
        kind = format_of(path)
        ending = FORMATS[kind].endings[0] + compression_of(path) if kind else ".txt"
        digest.update(ending.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What `manifest.json` says; older versions wrote no hash of the tokens."""

    report: CorpusReport
    dtype: np.dtype[Any]
    offsets_checksum: str
    tokens_sha256: str | None


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST_NAME
    try:
        content = read_record(path)
        version = content["format_version"]
        manifest = _Manifest(
            CorpusReport(**content["report"]),
            np.dtype(content["dtype"]),
            content["offsets_checksum"],
            content.get("tokens_sha256"),
        )
        is_possible = manifest.report.num_kept > 0 and manifest.report.num_tokens > 0
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is missing or damaged: {error}") from error
    if version != FORMAT_VERSION or not is_possible or manifest.dtype.kind != "u":
        raise ValueError(
            f"{path} has format {version}, but this version reads format {FORMAT_VERSION}"
            if version != FORMAT_VERSION
            else f"{path} is damaged: it describes no corpus"
        )
    return manifest


def _reopened(folder: Path) -> PreparedCorpus:
    """Open a corpus in a process of the program that has checked it."""
    return PreparedCorpus(folder, is_checked=True)


def _require_hash(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != expected:
            raise ValueError(f"{path} is damaged: its checksum differs")


def _mapped(path: Path, dtype: np.dtype[Any], size: int) -> NDArray[Any]:
    expected = size * dtype.itemsize
    actual = path.stat().st_size if path.exists() else 0
    if actual != expected:
        raise ValueError(f"{path} is damaged: it has {actual} bytes instead of {expected}")
    return np.memmap(path, dtype=dtype, mode="r", shape=(size,))


def _checksum(offsets: NDArray[Any]) -> str:
    return hashlib.blake2b(offsets.tobytes(), digest_size=16).hexdigest()


def _flush_to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _num_cores() -> int:
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1
