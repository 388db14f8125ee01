"""The text of a pretraining run, prepared: its tokenizer, token ids on disk, what is held out.

What is not there yet is made in the folder of prepared text, so that `unblank prepare` and the runs
that follow find the same. Processes share out files; only a tokenizer is trained by the main one.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table
from transformers import PreTrainedTokenizerFast

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

__all__ = ["PreparedText", "cache_folder", "find_hold_out", "open_cache", "prepare_text"]

_Corpus = PreparedCorpus | PairCorpus


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedText:
    """The text of a run as token ids.

    Attributes:
        tokenizer: that made them.
        corpora: training text; pairs last.
        held_out: held-out text, perhaps none; pairs last.
        names: what to call each of `corpora`.
        held_out_names: what to call each of `held_out`.
        languages: code of the language of each of `corpora`, empty where it is not known.
        held_out_languages: the same of `held_out`.
        sources: of the training text, what is held out included.
    """

    tokenizer: PreTrainedTokenizerFast
    corpora: list[_Corpus]
    held_out: list[_Corpus]
    names: list[str]
    held_out_names: list[str]
    languages: list[str]
    held_out_languages: list[str]
    sources: list[TextFiles]

    def table(self, max_length: int) -> Table:
        """Return what became of the documents; arguments as for `documents_table`."""
        rows = _rows(self.names, self.corpora, "")
        rows += _rows(self.held_out_names, self.held_out, " (held out)")
        return documents_table(rows, max_length=max_length)


def cache_folder(cache_dir: Path | None, output_dir: Path) -> Path:
    """Return where prepared text lies: where the settings say, or beside the folder of the run."""
    return cache_dir or output_dir.parent / SHARDS_NAME


def open_cache(data: PretrainDataSettings, output_dir: Path, world: World) -> CorpusCache:
    """Return the folder of prepared text, in the hands of all processes.

    Args:
        data: the `data` section.
        output_dir: folder of the run, beside which it lies by default.
        world: the processes of the run.
    """
    return CorpusCache(
        cache_folder(data.cache_dir, output_dir),
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
    texts, held_out_texts = (
        open_language_sources(entries, text_field=data.text_field, cache_dir=cache.folder)
        for entries in (data.train, data.validation)
    )
    sources = _training_sources(data, texts, hold_out)
    alpha, num_characters = tokenizer.alpha, tokenizer.num_characters or None
    cache.hash_files(path for source in sources for path in source.paths)

    def kept(wanted: Mapping[str, Any]) -> Path:
        named = [_named(cache, source) for source in sources]
        key = cache_key({**wanted, "drawn": [alpha, num_characters]}, named)
        return cache.folder / f"tokenizer-{key}"

    with world.main_first():
        opened = open_tokenizer(
            model,
            tokenizer,
            family,
            lambda: DrawnTexts(sources, alpha, num_characters),
            folder=output_dir / TOKENIZER_NAME,
            world=world,
            checkpoint=checkpoint,
            display=display,
            kept=kept,
        )
    preparing = _Preparing(opened, family.special_ids(opened).eos, data, cache)
    corpora = preparing.all_of(texts, data.pairs, hold_out)
    held_out = preparing.all_of(held_out_texts, data.validation_pairs)
    held_out += preparing.parts_of(texts, hold_out)
    divided = [source for source, below in zip(texts, hold_out, strict=False) if below]
    no_language = [""] * len(data.validation_pairs)
    return PreparedText(
        tokenizer=opened,
        corpora=corpora,
        held_out=held_out,
        names=[*(one.name for one in texts), *data.pairs],
        held_out_names=[one.name for one in held_out_texts]
        + [*data.validation_pairs, *(one.name for one in divided)],
        languages=[*(one.language for one in texts), *([""] * len(data.pairs))],
        held_out_languages=[one.language for one in held_out_texts]
        + [*no_language, *(one.language for one in divided)],
        sources=_training_sources(data, texts, ()),
    )


def find_hold_out(data: PretrainDataSettings, output_dir: Path, world: World) -> list[int]:
    """Return for each source of `train` the threshold below which documents are held out.

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
    cache = open_cache(data, output_dir, world)
    sources = open_language_sources(data.train, text_field=data.text_field, cache_dir=cache.folder)
    texts = [_texts(data, source, None) for source in sources]
    cache.hash_files(path for source in texts for path in source.paths)
    key = cache_key("hold_out", data.hold_out, [_named(cache, source) for source in texts])
    found: list[int] | None = cache.files.get(key)
    if found is None:
        mine = hold_out_thresholds(texts, data.hold_out) if world.is_main else None
        found = world.gather(mine)[0]
        cache.files.put(key, found)
        if world.is_main:
            cache.files.save()
    assert found is not None
    if not any(found) and world.is_main:
        warnings.warn(
            "data.hold_out holds nothing out, as there is only one document: to divide .txt files, "
            "set --data.text-unit paragraph or line",
            stacklevel=1,
        )
    return found


@dataclass(frozen=True, slots=True)
class _Preparing:
    """How entries of the data become tokenized text on disk."""

    tokenizer: PreTrainedTokenizerFast
    eos: int
    data: PretrainDataSettings
    cache: CorpusCache

    def all_of(
        self, texts: Sequence[LanguageSource], pairs: Sequence[str], hold_out: Sequence[int] = ()
    ) -> list[_Corpus]:
        """Return the corpora of some sources, without what is held out of them, pairs last."""
        search = FileSearch(any_ending=True)
        for entry in pairs:
            pair = parse_pair_source(entry)
            search.take(entry, (pair.source, pair.target), (pair.source_field, pair.target_field))
        parts = [HashPart(below, is_held_out=False) if below else None for below in hold_out]
        of_texts = self._texts(list(zip(texts, parts or [None] * len(texts), strict=True)))
        return [*of_texts, *map(self._pairs, pairs)]

    def parts_of(self, texts: Sequence[LanguageSource], hold_out: Sequence[int]) -> list[_Corpus]:
        """Return what is held out of the sources of which something is."""
        return self._texts(
            [
                (source, HashPart(below, is_held_out=True))
                for source, below in zip(texts, hold_out, strict=False)
                if below
            ]
        )

    def _texts(self, parts: Sequence[tuple[LanguageSource, HashPart | None]]) -> list[_Corpus]:
        wanted = [(_texts(self.data, source, part), MINIMUM_TOKENS) for source, part in parts]
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
    names = [(path.name, cache.files.digest(path)) for path in source.paths]
    return [names, source.fields or source.text_field, source.text_unit, part]


def _texts(data: PretrainDataSettings, source: LanguageSource, part: HashPart | None) -> TextFiles:
    texts = source.texts(text_field=data.text_field, text_unit=data.text_unit)
    return replace(texts, part=part)


def _training_sources(
    data: PretrainDataSettings, texts: Sequence[LanguageSource], hold_out: Sequence[int]
) -> list[TextFiles]:
    """Return what a new tokenizer is trained on, the sides of pairs last."""
    parts = [HashPart(below, is_held_out=False) if below else None for below in hold_out]
    found = [
        _texts(data, source, part)
        for source, part in zip(texts, parts or [None] * len(texts), strict=True)
    ]
    return found + [side for entry in data.pairs for side in pair_texts(entry)]


def _rows(
    names: Sequence[str], corpora: Sequence[_Corpus], ending: str
) -> list[tuple[str, Sequence[_Corpus]]]:
    """Return a row for each corpus, or one for all if there are many."""
    if len(corpora) > MANY_LANGUAGES:
        return [(f"{len(corpora)} sources{ending}", corpora)]
    return [(f"{name}{ending}", [corpus]) for name, corpus in zip(names, corpora, strict=True)]
