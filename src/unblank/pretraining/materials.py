"""What a run needs besides the model: tokenizer, tokenized text, samplers.

The main process makes what is not there yet (a tokenizer, shards); the others wait and read it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from unblank.data.mixing import TemperatureSchedule
from unblank.data.pairs import PairCorpus, pair_texts, prepare_pairs
from unblank.data.report import documents_table
from unblank.data.sampling import MINIMUM_TOKENS, Sampler, SamplingSettings
from unblank.data.shards import PreparedCorpus, prepare
from unblank.data.sources import TextFiles, find_files
from unblank.engine.logging import Display
from unblank.engine.parallel import World
from unblank.families.family import Family
from unblank.objectives.settings import ObjectiveSettings
from unblank.pretraining.settings import DataSettings, PretrainSettings
from unblank.starting.tokenizer import TOKENIZER_NAME, open_tokenizer
from unblank.tokenization.source_layout import language_tag_id
from unblank.tokenization.vocabulary import sentence_end_flags

__all__ = ["SHARDS_NAME", "Materials", "gather_materials", "held_out_sampler"]

SHARDS_NAME = "shards"
"""Folder of tokenized text, beside the folder of the run."""

_HELD_OUT_SEED = 0
"""Of held-out samples, whatever the seed of the run: so runs can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """The tokenizer and the data of a run, ready to draw from."""

    tokenizer: PreTrainedTokenizerFast
    """Saved with the model."""
    sampler: Sampler[Any]
    """Training samples."""
    held_out: list[PreparedCorpus | PairCorpus]
    """Held-out text, perhaps none; pairs last."""
    row_length: int
    """Positions of a row."""
    content: list[str]
    """Hash of each training source: its text, tokenizer and settings."""
    description: str
    """Documents and tokens, for the header."""


def gather_materials(
    config: PretrainSettings,
    family: Family,
    world: World,
    checkpoint: Path | None,
    display: Display,
) -> Materials:
    """Return what the run needs, making what is not there yet.

    Args:
        config: the run.
        family: of its model.
        world: its processes; the main one makes, the others wait.
        checkpoint: the checkpoint it continues, whose tokenizer is taken.
        display: where to say what is being made.

    Raises:
        ValueError: if a file is broken, or text, tokenizer and objective do not fit.
        FileNotFoundError: if a named file or folder is not there.
    """
    data = config.data
    with world.main_first():
        tokenizer = _open_tokenizer(config, family, world, checkpoint, display)
    corpora: list[PreparedCorpus | PairCorpus] = []
    held_out: list[PreparedCorpus | PairCorpus] = []
    with world.main_first():
        corpora += [_prepared(entry, config, tokenizer, world) for entry in data.train]
        corpora += [
            _prepared_pairs(entry, config, family, tokenizer, world) for entry in data.pairs
        ]
        held_out += [_prepared(entry, config, tokenizer, world) for entry in data.validation]
        pairs = data.validation_pairs
        held_out += [_prepared_pairs(entry, config, family, tokenizer, world) for entry in pairs]
    names = [*data.train, *data.pairs]
    names += [f"{entry} (held out)" for entry in (*data.validation, *data.validation_pairs)]
    display.show(
        documents_table(
            list(zip(names, [*corpora, *held_out], strict=True)), max_length=data.max_length
        )
    )
    settings = SamplingSettings(
        max_length=data.max_length,
        seed=config.train.seed,
        weights=data.weights,
        alpha=data.alpha,
        temperature=_temperature(data),
    )
    sampler = _sampler(config, family, tokenizer, corpora, data.languages, settings)
    return Materials(
        tokenizer=tokenizer,
        sampler=sampler,
        held_out=held_out,
        row_length=family.rows.row_length(
            data.row_length or data.max_length, config.train.micro_batch_size
        ),
        content=[_content(corpus) for corpus in corpora],
        description=_describe(corpora, sampler),
    )


def held_out_sampler(
    config: PretrainSettings,
    family: Family,
    materials: Materials,
    objective: ObjectiveSettings | None = None,
) -> Sampler[Any] | None:
    """Return samples of the held-out text, or None without such text.

    Args:
        config: the run.
        family: of its model.
        materials: its text and tokenizer.
        objective: in place of the run's own, for a GLM.
    """
    if not materials.held_out:
        return None
    settings = SamplingSettings(max_length=config.data.max_length, seed=_HELD_OUT_SEED)
    if objective is not None:
        config = replace(config, objective=objective)
    languages = config.data.validation_languages
    return _sampler(config, family, materials.tokenizer, materials.held_out, languages, settings)


def _sampler(
    config: PretrainSettings,
    family: Family,
    tokenizer: PreTrainedTokenizerFast,
    corpora: Sequence[PreparedCorpus | PairCorpus],
    languages: Sequence[str] | None,
    settings: SamplingSettings,
) -> Sampler[Any]:
    """Return the sampler of the family's examples; texts come first, pairs last."""
    flags = sentence_end_flags(tokenizer)
    special, sections = family.special_ids(tokenizer), config.sections
    tags = [
        language_tag_id(tokenizer, f"__{language}__", f"language {language!r}")
        for language in languages or ()
    ]
    objectives = []
    for place, corpus in enumerate(corpora):
        if isinstance(corpus, PairCorpus):
            assert family.pair_objective is not None
            make = family.pair_objective
            objectives.append(make(sections, special, flags, settings.max_length))
        else:
            tag = tags[place] if tags else None
            objectives.append(
                family.text_objective(sections, special, flags, settings.max_length, tag)
            )
    return Sampler(corpora, objectives, special, settings)


def _content(corpus: PreparedCorpus | PairCorpus) -> str:
    return corpus.content if isinstance(corpus, PairCorpus) else corpus.folder.name


def _temperature(data: DataSettings) -> TemperatureSchedule | None:
    start, end, epochs = data.temperature_start, data.temperature_end, data.temperature_epochs
    if start is None or end is None or epochs is None:
        return None
    return TemperatureSchedule(start=start, end=end, epochs=epochs)


def _open_tokenizer(
    config: PretrainSettings,
    family: Family,
    world: World,
    checkpoint: Path | None,
    display: Display,
) -> PreTrainedTokenizerFast:
    def texts() -> Iterable[str]:
        found: list[TextFiles] = []
        if config.data.train:
            found.append(_text_files(find_files(config.data.train), config.data))
        found += [side for entry in config.data.pairs for side in pair_texts(entry)]
        return found[0] if len(found) == 1 else _Joined(found)

    return open_tokenizer(
        config.model,
        config.tokenizer,
        family,
        texts,
        folder=config.train.output_dir / TOKENIZER_NAME,
        world=world,
        checkpoint=checkpoint,
        display=display,
    )


@dataclass(frozen=True, slots=True)
class _Joined:
    """The documents of several sources, as often as it is iterated over."""

    sources: Sequence[TextFiles]

    def __iter__(self) -> Iterator[str]:
        for source in self.sources:
            yield from source


def _text_files(paths: Sequence[Path], data: DataSettings) -> TextFiles:
    return TextFiles(paths=tuple(paths), text_field=data.text_field, text_unit=data.text_unit)


def _prepared(
    entry: str, config: PretrainSettings, tokenizer: PreTrainedTokenizerFast, world: World
) -> PreparedCorpus:
    data = config.data
    return prepare(
        entry,
        tokenizer,
        cache_dir=data.cache_dir or config.train.output_dir.parent / SHARDS_NAME,
        text_field=data.text_field,
        text_unit=data.text_unit,
        min_tokens=MINIMUM_TOKENS,
        show_progress=world.is_main,
    )


def _prepared_pairs(
    entry: str,
    config: PretrainSettings,
    family: Family,
    tokenizer: PreTrainedTokenizerFast,
    world: World,
) -> PairCorpus:
    return prepare_pairs(
        entry,
        tokenizer,
        cache_dir=config.data.cache_dir or config.train.output_dir.parent / SHARDS_NAME,
        eos=family.special_ids(tokenizer).eos,
        max_length=config.data.max_length,
        refuse_long=config.data.too_long == "refuse",
        show_progress=world.is_main,
    )


def _describe(corpora: Sequence[PreparedCorpus | PairCorpus], sampler: Sampler[Any]) -> str:
    num_tokens = sum(corpus.num_tokens for corpus in corpora)
    num_pairs = sum(len(corpus) for corpus in corpora if isinstance(corpus, PairCorpus))
    num_documents = sum(map(len, corpora)) - num_pairs
    counts = {"documents": num_documents, "pairs": num_pairs}
    shown = " and ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return f"{num_tokens:,} tokens in {shown}; {sampler.num_chunks:,} samples an epoch"
