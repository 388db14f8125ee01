"""Corpora tokenized once, by one process or by several: what is missing is made, the rest is found.

A corpus is one folder up to some 64 MB of text. A larger one is divided into shards, one a file, a
group of small files or a part of a large one, each a folder named by its content (texts, tokenizer,
settings); processes share them out by their bytes, and what is finished is found again after a
kill. A folder appears whole or not at all (it is built under another name and renamed), so runs
that prepare at once or are killed leave nothing wrong. Neither ids nor their order depend on the
number of processes. The ids are those of text alone; samplers add the special tokens. Shards are
written by `shard_files`, and corpora read by `prepared`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblank.atomic_folders import new_folder, remove_folder, remove_leftovers
from unblank.consoles import TextConsole
from unblank.data.file_parts import FilePart, file_parts
from unblank.data.files import find_files
from unblank.data.formats import FORMATS, compression_of, format_of
from unblank.data.manifest import FORMAT_VERSION, CorpusReport, require_name
from unblank.data.prepared import PreparedCorpus
from unblank.data.shard_files import Shard, num_ids, write_file, write_shard
from unblank.data.shared_progress import ALONE, Processes, shared_bar
from unblank.data.sources import TextFiles, TextUnit
from unblank.data.text_file_cache import TextFileCache
from unblank.integrity import MANIFEST_NAME, seal
from unblank.load_balancing import share_out
from unblank.plurals import counted
from unblank.settings.ranges import check_count
from unblank.tokenization.encoding import text_encoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = ["SHARDS_NAME", "CorpusCache", "prepare_corpus"]

SHARDS_NAME = "shards"
"""Name of the folder of tokenized text, beside the folders of runs."""

_SHARD_BYTES = 2**26
"""Bytes of files that are one shard, unless a single file has more."""

_Wanted = tuple[TextFiles, int]
"""Texts, and the fewest tokens of a document that is kept."""


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
    """Return the corpus of one source, tokenized now or found ready from an earlier call.

    Args:
        texts: files, folders or glob patterns of one source, or opened files, which know their
            own `text_field` and `text_unit`.
        tokenizer: a transformers tokenizer; special tokens inside the text are read as text.
        cache_dir: folder that holds prepared corpora, made if absent.
        text_field: key or column of the text in `.jsonl` and `.parquet`.
        text_unit: what one document of a `.txt` file is: "file", "paragraph" or "line".
        min_tokens: documents with fewer tokens are skipped and counted.
        num_threads: threads that tokenize; None takes one a core.
        show_progress: show bars and notes on the error stream.

    Raises:
        FileNotFoundError: if a path matches no file.
        ValueError: if a file is broken, or no document is left.
        OSError: if the cache cannot be written, for example because the disk is full.
    """
    min_tokens = check_count(min_tokens, "min_tokens")
    if not isinstance(texts, TextFiles):
        texts = TextFiles(paths=find_files(texts), text_field=text_field, text_unit=text_unit)
    cache = CorpusCache(Path(cache_dir), num_threads=num_threads, show_progress=show_progress)
    (corpus,) = cache.prepare([(texts, min_tokens)], tokenizer)
    return corpus


@dataclass(frozen=True, slots=True)
class _Plan:
    """A corpus and its shards; a single shard is the corpus itself."""

    name: str
    texts: TextFiles
    shards: list[Shard]


class CorpusCache:
    """A folder of prepared corpora, in the hands of one process or of several together.

    All processes make the same calls in the same order.

    Args:
        folder: the folder, made if absent; all processes see it.
        processes: that prepare together, a `World` for example.
        verify: hash all text and all tokens again, however unchanged their files seem.
        num_threads: threads of a process that tokenize; None shares out the cores.
        show_progress: show bars and notes on the error stream of the main process.

    Attributes:
        files: hashes of the files that were asked for.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        processes: Processes = ALONE,
        verify: bool = False,
        num_threads: int | None = None,
        show_progress: bool = True,
    ) -> None:
        self.folder = folder
        self._processes = processes
        self._verify = verify
        self._num_threads = num_threads
        self._show_progress = show_progress and processes.rank == 0
        folder.mkdir(parents=True, exist_ok=True)
        if processes.rank == 0:
            remove_leftovers(folder)
        self.files = TextFileCache(folder, verify=verify)

    def hash_files(self, paths: Iterable[Path]) -> None:
        """Hash those of the files that have changed or are new, each process its share of bytes.

        Raises:
            OSError: a file cannot be read.
        """
        unique = list(dict.fromkeys(paths))
        is_unknown = self._by_main(lambda: [not self.files.has_hash(path) for path in unique])
        new = [path for path, is_new in zip(unique, is_unknown, strict=True) if is_new]
        sizes = [path.stat().st_size for path in new]
        with self._bar("reading", sum(sizes)) as advance:
            for index in share_out(sizes, self._processes.size)[self._processes.rank]:
                self.files.digest(new[index], advance)
        for hashes in self._processes.gather(self.files.new_hashes):
            self.files.add_hashes(hashes)
        if self._processes.rank == 0:
            self.files.save()

    def prepare(
        self, wanted: Sequence[_Wanted], tokenizer: "PreTrainedTokenizerFast"
    ) -> list[PreparedCorpus]:
        """Return the corpora of some texts, tokenized now or found ready.

        Args:
            wanted: texts, and the fewest tokens of a document that is kept.
            tokenizer: a transformers tokenizer; special tokens inside the text are read as text.

        Raises:
            ValueError: a file is broken, or no document of a corpus is left.
            OSError: a file cannot be read, or the folder cannot be written.
        """
        core = text_encoder(tokenizer)
        self.hash_files(path for texts, _ in wanted for path in texts.paths)
        plans = [self._plan(texts, core, min_tokens) for texts, min_tokens in wanted]
        opened: dict[str, PreparedCorpus] = {}
        names = self._by_main(lambda: self._missing(plans, opened))
        shards = {shard.name: shard for plan in plans for shard in plan.shards}
        self._build_all([shards[name] for name in names], core)
        if self._processes.rank == 0:
            for plan in plans:
                if plan.name not in opened:
                    opened[plan.name] = self._joined(plan)
                self._require_documents(plan, opened[plan.name])
        self._processes.gather(None)
        if self._processes.rank > 0:  # the main one has checked them
            names = {plan.name for plan in plans}
            opened = {name: PreparedCorpus(self.folder / name, is_checked=True) for name in names}
        for corpus in opened.values():
            corpus.num_ids = num_ids(core)
        return [opened[plan.name] for plan in plans]

    def _by_main(self, work: Callable[[], Any]) -> Any:
        """Return what the main process finds, to all of them."""
        return self._processes.gather(work() if self._processes.rank == 0 else None)[0]

    def _bar(self, description: str, total: int) -> Any:
        show = self._show_progress and total > 0
        return shared_bar(description, total, self._processes, self.folder, show=show)

    def _plan(self, texts: TextFiles, core: "Tokenizer", min_tokens: int) -> _Plan:
        name = self._name(texts, core, min_tokens)
        parts = _divided(texts)
        if len(parts) == 1:
            return _Plan(name, texts, [Shard(name, texts, min_tokens)])
        shards = [Shard(self._name(part, core, min_tokens), part, min_tokens) for part in parts]
        return _Plan(name, texts, shards)

    def _name(self, texts: TextFiles, core: "Tokenizer", min_tokens: int) -> str:
        """Hash what decides the ids: contents and kinds of files, tokenizer, settings, format."""
        settings: dict[str, Any] = {
            "text_field": texts.text_field,
            "text_unit": texts.text_unit,
            "min_tokens": min_tokens,
        }
        if texts.fields:
            settings["fields"] = list(texts.fields)
        if texts.part is not None:
            settings["part"] = [texts.part.threshold, texts.part.is_held_out]
        digest = hashlib.blake2b(digest_size=12)
        digest.update(json.dumps([FORMAT_VERSION, settings], sort_keys=True).encode())
        digest.update(hashlib.blake2b(core.to_str().encode()).digest())
        for path in texts.paths:
            kind = format_of(path)
            ending = FORMATS[kind].endings[0] + compression_of(path) if kind else ".txt"
            digest.update(ending.encode())
            whole = path.whole if isinstance(path, FilePart) else path
            digest.update(bytes.fromhex(self.files.digest(whole)))
            if isinstance(path, FilePart):
                digest.update(repr(path.bounds).encode())
        return digest.hexdigest()

    def _missing(self, plans: Sequence[_Plan], opened: dict[str, PreparedCorpus]) -> list[str]:
        """Return the names of the shards that are to be made; note the corpora that are there."""
        missing: dict[str, None] = {}
        for plan in plans:
            corpus = self._opened(plan.name)
            if corpus is not None:
                opened[plan.name] = corpus
                continue
            for shard in plan.shards:
                is_single = shard.name == plan.name
                if shard.name not in missing and (is_single or self._opened(shard.name) is None):
                    missing[shard.name] = None
        return list(missing)

    def _opened(self, name: str) -> PreparedCorpus | None:
        """Return a corpus that is there; one that is damaged is removed, and a line says why."""
        folder = self.folder / name
        if not folder.exists():
            return None
        try:
            corpus = PreparedCorpus(folder, verify=self._verify)
            require_name(folder, corpus.name)
        except ValueError as error:
            if self._show_progress:
                said = f"{error}\nPreparing this corpus again."
                TextConsole(stderr=True).print(said, style="yellow")
            remove_folder(folder)
            return None
        return corpus

    def _build_all(self, shards: Sequence[Shard], core: "Tokenizer") -> None:
        """Make shards, each process its share of the bytes."""
        sizes = [shard.texts.num_bytes for shard in shards]
        with self._bar("tokenizing", sum(sizes)) as advance:
            for index in share_out(sizes, self._processes.size)[self._processes.rank]:
                shard = shards[index]
                folder = self.folder / shard.name
                try:
                    with new_folder(folder) as building:
                        documents = _counted(shard.texts, advance)
                        write_shard(building, documents, shard, core, self._num_threads)
                except OSError:
                    # If another run was first, its folder is as good.
                    if not folder.exists():
                        raise

    def _joined(self, plan: _Plan) -> PreparedCorpus:
        """Return a corpus whose shards are there; several get a folder that names them."""
        folder = self.folder / plan.name
        if len(plan.shards) > 1:
            folders = [self.folder / shard.name for shard in plan.shards]
            report = _sum_of([PreparedCorpus(one, is_checked=True).report for one in folders])
            manifest = {
                "format_version": FORMAT_VERSION,
                "name": plan.name,
                "report": asdict(report),
                "shards": [shard.name for shard in plan.shards],
                "sources": [str(path) for path in plan.texts.paths],
            }
            with suppress(FileExistsError), new_folder(folder) as building:
                write_file(building / MANIFEST_NAME, seal(manifest).encode())
        return PreparedCorpus(folder)

    def _require_documents(self, plan: _Plan, corpus: PreparedCorpus) -> None:
        report = corpus.report
        if not report.num_kept:
            remove_folder(corpus.folder)
            raise ValueError(
                f"no document to train on in {plan.texts.shown_paths}: {report.num_read} read, "
                f"{report.num_empty} without text, {report.num_short} with fewer than "
                f"{counted(report.min_tokens, 'token')}"
            )


def _divided(texts: TextFiles) -> list[TextFiles]:
    """Return the texts of each shard: as many neighbouring files as `_SHARD_BYTES` allow.

    A larger file is several, if lines of it can be found in its middle.
    """
    groups: list[list[Path]] = [[]]
    fields: list[list[str]] = [[]]
    num_bytes = 0
    for path, text_field in zip(
        texts.paths, texts.fields or [texts.text_field] * len(texts.paths), strict=True
    ):
        size = path.stat().st_size
        pieces: Sequence[Path] = file_parts(path, _SHARD_BYTES, texts.text_unit) or [path]
        for piece in pieces:
            if groups[-1] and num_bytes + size > _SHARD_BYTES:
                groups.append([])
                fields.append([])
                num_bytes = 0
            groups[-1].append(piece)
            fields[-1].append(text_field)
        num_bytes += size
    return [
        replace(texts, paths=tuple(group), fields=tuple(of_group) if texts.fields else ())
        for group, of_group in zip(groups, fields, strict=True)
    ]


def _counted(texts: TextFiles, advance: Callable[[int], None]) -> Iterator[str]:
    """Yield the documents, and tell how many bytes of the files they took."""
    before = 0
    for text in texts:
        advance(texts.num_bytes_read - before)
        before = texts.num_bytes_read
        yield text
    advance(texts.num_bytes_read - before)


def _sum_of(reports: Sequence[CorpusReport]) -> CorpusReport:
    names = ("num_read", "num_empty", "num_short", "num_kept", "num_tokens")
    sums = {name: sum(getattr(report, name) for report in reports) for name in names}
    unknown = [report.num_unknown for report in reports if report.num_unknown is not None]
    num_unknown = sum(unknown) if len(unknown) == len(reports) else None
    return CorpusReport(**sums, num_unknown=num_unknown, min_tokens=reports[0].min_tokens)
