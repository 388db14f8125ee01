"""The text of a pretraining run, prepared: its tokenizer, token ids on disk, what is held out.

What is not there yet is made in the folder of prepared text, so that `unblank prepare` and the runs
that follow find the same. Processes share out files; only a tokenizer is trained by the main one.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from transformers import PreTrainedTokenizerFast

from unblank.atomic_folders import absent_folders, used_folder
from unblank.data.drawn_texts import DrawnTexts
from unblank.data.files import FileSearch
from unblank.data.hold_out import HashPart, hold_out_thresholds
from unblank.data.language_sources import LanguageSource, open_language_sources
from unblank.data.pairs import PairCorpus, pair_texts, parse_pair_source, prepare_pairs
from unblank.data.prepared import PreparedCorpus
from unblank.data.report import documents_table
from unblank.data.sampling import MINIMUM_TOKENS
from unblank.data.shards import SHARDS_NAME, CorpusCache
from unblank.data.sources import TextFiles
from unblank.data.text_file_cache import cache_key
from unblank.engine.logging import Display
from unblank.engine.parallel import World
from unblank.families.family import Family
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.pretraining.language_shares import MANY_LANGUAGES
from unblank.pretraining.settings import PretrainDataSettings
from unblank.starting.tokenizer import TOKENIZER_NAME, open_tokenizer

__all__ = [
    "NamedCorpus",
    "PreparedText",
    "cache_folder",
    "find_hold_out",
    "open_cache",
    "prepare_text",
]


@dataclass(frozen=True, slots=True)
class NamedCorpus:
    """The token ids of one source.

    Attributes:
        corpus: of text, or of pairs.
        name: what to call it.
        language: code; empty if it is not known.
    """

    corpus: PreparedCorpus | PairCorpus
    name: str
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedText:
    """The text of a run as token ids.

    Attributes:
        tokenizer: that made them.
        training: what the run learns from; pairs last.
        held_out: files of held-out text and pairs, then what is held out of the training text.
        sources: of the training text, what is held out included.
    """

    tokenizer: PreTrainedTokenizerFast
    training: list[NamedCorpus]
    held_out: list[NamedCorpus]
    sources: list[TextFiles]

    def table(self, max_length: int) -> Table:
        """Return what became of the documents; arguments as for `documents_table`."""
        rows = _rows(self.training, "") + _rows(self.held_out, " (held out)")
        return documents_table(rows, max_length=max_length)


def cache_folder(cache_dir: Path | None, output_dir: Path) -> Path:
    """Return where prepared text lies: where the settings say, or beside the folder of the run."""
    return cache_dir or output_dir.parent / SHARDS_NAME


@contextmanager
def open_cache(folder: Path, world: World, *, verify: bool) -> Iterator[CorpusCache]:
    """Open the folder of prepared text in all processes; it is removed again if it stays empty.

    Args:
        folder: made if absent.
        world: the processes; all must call this.
        verify: as for `CorpusCache`.

    Raises:
        OSError: it cannot be made.
    """
    with used_folder(folder, world.gather(absent_folders(folder))[0]):
        yield CorpusCache(folder, processes=world, verify=verify)


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
    # First, as it needs no more than the names of files, and what follows may take hours.
    for entries in (data.pairs, data.validation_pairs):
        _require_different_pairs(entries)
    sources, held_out_sources = (
        open_language_sources(entries, text_field=data.text_field, cache_dir=cache.folder)
        for entries in (data.train, data.validation)
    )
    thresholds = hold_out or [0] * len(sources)
    divided = [source for source, below in zip(sources, thresholds, strict=True) if below]
    learnt = [
        _texts(data, source, HashPart(below, is_held_out=False) if below else None)
        for source, below in zip(sources, thresholds, strict=True)
    ]
    set_aside = [
        _texts(data, source, HashPart(below, is_held_out=True))
        for source, below in zip(sources, thresholds, strict=True)
        if below
    ]
    sides = [side for entry in data.pairs for side in pair_texts(entry)]
    alpha, num_characters = tokenizer.alpha, tokenizer.num_characters or None
    cache.hash_files(path for texts in (*learnt, *sides) for path in texts.paths)

    def kept(wanted: Mapping[str, Any]) -> Path:
        named = [_named(cache, texts) for texts in (*learnt, *sides)]
        key = cache_key({**wanted, "drawn": [alpha, num_characters]}, named)
        return cache.folder / f"tokenizer-{key}"

    with world.main_first():
        opened = open_tokenizer(
            model,
            tokenizer,
            family,
            lambda: DrawnTexts([*learnt, *sides], alpha, num_characters),
            folder=output_dir / TOKENIZER_NAME,
            world=world,
            checkpoint=checkpoint,
            display=display,
            kept=kept,
        )
    preparing = _Preparing(
        opened,
        family.special_ids(opened).eos,
        cache,
        max_length=data.max_length,
        refuse_long=data.too_long == "refuse",
    )
    training = preparing.texts(sources, learnt) + preparing.pairs(data.pairs)
    held_out = preparing.texts(held_out_sources, [_texts(data, one) for one in held_out_sources])
    held_out += preparing.pairs(data.validation_pairs) + preparing.texts(divided, set_aside)
    return PreparedText(
        tokenizer=opened,
        training=training,
        held_out=held_out,
        sources=[*(_texts(data, source) for source in sources), *sides],
    )


def find_hold_out(data: PretrainDataSettings, cache: CorpusCache, world: World) -> list[int]:
    """Return for each source of `train` the threshold below which documents are held out.

    Args:
        data: the `data` section.
        cache: the folder of prepared text, which remembers the answer.
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
    sources = open_language_sources(data.train, text_field=data.text_field, cache_dir=cache.folder)
    texts = [_texts(data, source) for source in sources]
    cache.hash_files(path for source in texts for path in source.paths)
    key = cache_key("hold_out", data.hold_out, [_named(cache, source) for source in texts])
    mine: list[int] | None = None
    if world.is_main:  # alone: what the cache holds may differ between processes
        mine = cache.files.get(key)
        if mine is None:
            mine = hold_out_thresholds(texts, data.hold_out)
            cache.files.put(key, mine)
            cache.files.save()
    found: list[int] = world.gather(mine)[0]
    if not any(found) and world.is_main:
        warnings.warn(
            "data.hold_out holds nothing out, as there is only one document: to divide .txt files, "
            "set --data.text-unit paragraph or line",
            stacklevel=1,
        )
    return found


@dataclass(frozen=True, slots=True)
class _Preparing:
    """How text becomes token ids on disk."""

    tokenizer: PreTrainedTokenizerFast
    eos: int
    cache: CorpusCache
    max_length: int
    refuse_long: bool

    def texts(
        self, sources: Sequence[LanguageSource], texts: Sequence[TextFiles]
    ) -> list[NamedCorpus]:
        """Return the corpora of some sources, of which `texts` are the documents."""
        corpora = self.cache.prepare([(one, MINIMUM_TOKENS) for one in texts], self.tokenizer)
        return [
            NamedCorpus(corpus, source.name, source.language)
            for corpus, source in zip(corpora, sources, strict=True)
        ]

    def pairs(self, entries: Sequence[str]) -> list[NamedCorpus]:
        """Return the corpora of some entries of pairs."""
        return [
            NamedCorpus(
                prepare_pairs(
                    entry,
                    self.tokenizer,
                    cache=self.cache,
                    eos=self.eos,
                    max_length=self.max_length,
                    refuse_long=self.refuse_long,
                ),
                entry,
            )
            for entry in entries
        ]


def _require_different_pairs(entries: Sequence[str]) -> None:
    """Raise FileNotFoundError for files that are missing, ValueError for those named twice."""
    search = FileSearch(any_ending=True)
    for entry in entries:
        pair = parse_pair_source(entry)
        search.take(entry, (pair.source, pair.target), (pair.source_field, pair.target_field))


def _named(cache: CorpusCache, source: TextFiles) -> list[Any]:
    """Return what identifies the documents of a source."""
    part = [source.part.threshold, source.part.is_held_out] if source.part else None
    names = [(path.name, cache.files.digest(path)) for path in source.paths]
    return [names, source.fields or source.text_field, source.text_unit, part]


def _texts(
    data: PretrainDataSettings, source: LanguageSource, part: HashPart | None = None
) -> TextFiles:
    return source.texts(text_field=data.text_field, text_unit=data.text_unit, part=part)


def _rows(
    corpora: Sequence[NamedCorpus], ending: str
) -> list[tuple[str, list[PreparedCorpus | PairCorpus]]]:
    """Return a row for each corpus, or one for all if there are many."""
    if len(corpora) > MANY_LANGUAGES:
        return [(f"{len(corpora)} sources{ending}", [one.corpus for one in corpora])]
    return [(f"{one.name}{ending}", [one.corpus]) for one in corpora]
