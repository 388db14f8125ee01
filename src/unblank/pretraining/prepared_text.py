"""The text of a pretraining run, prepared: its tokenizer, token ids on disk, what is held out.

What is not there yet is made in the folder of prepared text, so that `unblank prepare` and the runs
that follow find the same. Processes share out files; only a tokenizer is trained by the main one.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from transformers import PreTrainedTokenizerFast

from unblank.data.files import FileSearch, files_of_entries, find_files
from unblank.data.hold_out import HashPart, hold_out_thresholds
from unblank.data.known_text import question_of
from unblank.data.pairs import PairCorpus, pair_texts, parse_pair_source, prepare_pairs
from unblank.data.prepared import PreparedCorpus
from unblank.data.report import documents_table
from unblank.data.sampling import MINIMUM_TOKENS
from unblank.data.shards import SHARDS_NAME, CorpusCache
from unblank.data.sources import TextFiles
from unblank.engine.logging import Display
from unblank.engine.parallel import World
from unblank.families.family import Family
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.pretraining.settings import PretrainDataSettings
from unblank.starting.tokenizer import TOKENIZER_NAME, open_tokenizer

__all__ = ["PreparedText", "find_hold_out", "open_cache", "prepare_text", "training_texts"]

_Corpus = PreparedCorpus | PairCorpus


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedText:
    """The text of a run as token ids.

    Attributes:
        tokenizer: that made them.
        corpora: training text; pairs last.
        held_out: held-out text, perhaps none; pairs last.
        names: what to call each of `corpora`, then of `held_out`, in a table.
        held_out_entries: the entry that each of `held_out` comes from.
    """

    tokenizer: PreTrainedTokenizerFast
    corpora: list[_Corpus]
    held_out: list[_Corpus]
    names: list[str]
    held_out_entries: list[str]

    def table(self, max_length: int) -> Table:
        """Return what became of the documents; arguments as for `documents_table`."""
        rows = list(zip(self.names, [*self.corpora, *self.held_out], strict=True))
        return documents_table(rows, max_length=max_length)


def open_cache(data: PretrainDataSettings, output_dir: Path, world: World) -> CorpusCache:
    """Return the folder of prepared text, in the hands of all processes.

    Args:
        data: the `data` section.
        output_dir: folder of the run, beside which it lies by default.
        world: the processes of the run.
    """
    return CorpusCache(
        data.cache_dir or output_dir.parent / SHARDS_NAME,
        processes=world,
        verify=data.verify,
        show_progress=world.is_main,
    )


def prepare_text(
    cache: CorpusCache,
    world: World,
    display: Display,
    family: Family,
    *,
    model: ModelSettings,
    tokenizer: TokenizerSettings,
    data: PretrainDataSettings,
    output_dir: Path,
    checkpoint: Path | None,
    hold_out: Sequence[int],
) -> PreparedText:
    """Return the text of a run, making what is not there yet.

    Args:
        cache: the folder of prepared text.
        world: the processes of the run, which share out the work.
        display: where to say what is being made.
        family: of the model.
        model: the `model` section.
        tokenizer: the `tokenizer` section.
        data: the `data` section.
        output_dir: folder of the run.
        checkpoint: that is continued, or None.
        hold_out: from `find_hold_out`.

    Raises:
        ValueError: if a file is broken, or text and tokenizer do not fit.
        FileNotFoundError: if a named file or folder is not there.
    """
    sources = _training_sources(data, hold_out)
    cache.hash_files(path for source in sources for path in source.paths)

    def kept(wanted: Mapping[str, Any]) -> Path:
        question = question_of(dict(wanted), [_named(cache, source) for source in sources])
        return cache.folder / f"tokenizer-{question}"

    with world.main_first():
        opened = open_tokenizer(
            model,
            tokenizer,
            family,
            lambda: _joined(sources),
            folder=output_dir / TOKENIZER_NAME,
            world=world,
            checkpoint=checkpoint,
            display=display,
            kept=kept,
        )
    preparing = _Preparing(opened, family.special_ids(opened).eos, data, cache)
    corpora = preparing.all_of(data.train, data.pairs, hold_out)
    held_out = preparing.all_of(data.validation, data.validation_pairs)
    held_out += preparing.parts_of(data.train, hold_out)
    divided = [entry for entry, below in zip(data.train, hold_out, strict=False) if below]
    entries = [*data.validation, *data.validation_pairs, *divided]
    return PreparedText(
        tokenizer=opened,
        corpora=corpora,
        held_out=held_out,
        names=[*data.train, *data.pairs, *(f"{entry} (held out)" for entry in entries)],
        held_out_entries=entries,
    )


def find_hold_out(data: PretrainDataSettings, output_dir: Path, world: World) -> list[int]:
    """Return for each entry of `train` the threshold below which documents are held out.

    Args:
        data: the `data` section.
        output_dir: folder of the run, as for `open_cache`, which remembers the answer.
        world: the processes of the run, of which the main one reads the text.

    Returns:
        Nothing if nothing is to be held out; see `hold_out_thresholds`.
    """
    if data.hold_out is None:
        return []
    if data.has_held_out_files:
        if world.is_main:
            warnings.warn(
                "nothing is held out of data.train (data.hold_out), as data.validation is given",
                stacklevel=1,
            )
        return []
    texts = [_texts(data, paths, None) for paths in files_of_entries(data.train)]
    cache = open_cache(data, output_dir, world)
    cache.hash_files(path for source in texts for path in source.paths)
    question = question_of("hold_out", data.hold_out, [_named(cache, source) for source in texts])
    found: list[int] | None = cache.known.recall(question)
    if found is None:
        mine = hold_out_thresholds(texts, data.hold_out) if world.is_main else None
        found = world.gather(mine)[0]
        cache.known.remember(question, found)
        if world.is_main:
            cache.known.save()
    assert found is not None
    if not any(found) and world.is_main:
        warnings.warn(
            "data.hold_out holds nothing out, as there is only one document: to divide .txt files, "
            "set --data.text-unit paragraph or line",
            stacklevel=1,
        )
    return found


def training_texts(data: PretrainDataSettings) -> Iterable[str]:
    """Return the documents of the training text, what is held out included."""
    return _joined(_training_sources(data, ()))


@dataclass(frozen=True, slots=True)
class _Preparing:
    """How entries of the data become tokenized text on disk."""

    tokenizer: PreTrainedTokenizerFast
    eos: int
    data: PretrainDataSettings
    cache: CorpusCache

    def all_of(
        self, texts: Sequence[str], pairs: Sequence[str], hold_out: Sequence[int] = ()
    ) -> list[_Corpus]:
        """Return the corpora of some entries, without what is held out of them, pairs last."""
        search = FileSearch(any_ending=True)
        for entry in pairs:
            pair = parse_pair_source(entry)
            search.take(entry, (pair.source, pair.target), (pair.source_field, pair.target_field))
        parts = [HashPart(below, is_held_out=False) if below else None for below in hold_out]
        files = files_of_entries(texts)
        of_texts = self._texts(list(zip(files, parts or [None] * len(files), strict=True)))
        return [*of_texts, *map(self._pairs, pairs)]

    def parts_of(self, texts: Sequence[str], hold_out: Sequence[int]) -> list[_Corpus]:
        """Return what is held out of the entries of which something is."""
        return self._texts(
            [
                (paths, HashPart(below, is_held_out=True))
                for paths, below in zip(files_of_entries(texts), hold_out, strict=False)
                if below
            ]
        )

    def _texts(self, entries: Sequence[tuple[tuple[Path, ...], HashPart | None]]) -> list[_Corpus]:
        wanted = [(_texts(self.data, paths, part), MINIMUM_TOKENS) for paths, part in entries]
        return [*self.cache.prepare(wanted, self.tokenizer)]

    def _pairs(self, entry: str) -> PairCorpus:
        return prepare_pairs(
            entry,
            self.tokenizer,
            cache=self.cache,
            eos=self.eos,
            max_length=self.data.max_length,
            refuse_long=self.data.too_long == "refuse",
        )


def _named(cache: CorpusCache, source: TextFiles) -> list[Any]:
    """Return what says which documents a source has."""
    part = [source.part.threshold, source.part.is_held_out] if source.part else None
    names = [(path.name, cache.known.digest(path)) for path in source.paths]
    return [names, source.text_field, source.text_unit, part]


def _texts(data: PretrainDataSettings, paths: tuple[Path, ...], part: HashPart | None) -> TextFiles:
    return TextFiles(
        paths=paths,
        text_field=data.text_field,
        text_unit=data.text_unit,
        part=part,
    )


def _training_sources(data: PretrainDataSettings, hold_out: Sequence[int]) -> list[TextFiles]:
    """Return what a new tokenizer is trained on."""
    found: list[TextFiles] = []
    if any(hold_out):
        found += [
            _texts(data, paths, HashPart(below, is_held_out=False))
            for paths, below in zip(files_of_entries(data.train), hold_out, strict=True)
        ]
    elif data.train:
        found.append(_texts(data, find_files(data.train), None))
    return found + [side for entry in data.pairs for side in pair_texts(entry)]


def _joined(sources: Sequence[TextFiles]) -> Iterable[str]:
    return sources[0] if len(sources) == 1 else _Joined(sources)


@dataclass(frozen=True, slots=True)
class _Joined:
    """The documents of several sources, as often as it is iterated over."""

    sources: Sequence[TextFiles]

    def __iter__(self) -> Iterator[str]:
        for source in self.sources:
            yield from source
