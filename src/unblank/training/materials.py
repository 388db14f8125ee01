"""What a run needs besides the model: tokenizer, tokenized text, samplers.

The main process makes what is not there yet (a tokenizer, shards); the others wait and read it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from unblank.data.mixing import TemperatureSchedule
from unblank.data.report import documents_table
from unblank.data.sampling import MINIMUM_TOKENS, Sampler, SamplingSettings
from unblank.data.shards import PreparedCorpus, prepare
from unblank.data.sources import TextFiles, find_files
from unblank.models.glm.presets import config_from_preset
from unblank.objectives.mixture import Mixture, build_objective
from unblank.objectives.settings import ObjectiveSettings
from unblank.tokenization.config import TokenizerKind
from unblank.tokenization.special import special_ids
from unblank.tokenization.vocabulary import sentence_end_flags
from unblank.training.config import DataSettings, RunConfig
from unblank.training.logging import Display
from unblank.training.parallel import World

__all__ = ["Materials", "gather_materials", "held_out_sampler"]

TOKENIZER_NAME = "tokenizer"
SHARDS_NAME = "shards"

# Presets that were published with another tokenizer than BERT's.
_PRESET_KINDS: dict[str, TokenizerKind] = {
    "roberta": "bpe",
    "2b": "bpe",
    "10b": "bpe",
    "chinese-large": "unigram",
    "multiglm-1b": "unigram",
}

_HELD_OUT_SEED = 0
"""Of held-out samples, whatever the seed of the run: so runs can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """The tokenizer and the data of a run, ready to draw from."""

    tokenizer: PreTrainedTokenizerFast
    """Saved with the model."""
    sampler: Sampler
    """Training samples."""
    held_out: list[PreparedCorpus]
    """Held-out text, perhaps none."""
    row_length: int
    """Positions of a row."""
    content: list[str]
    """Hash of each training source: its text, tokenizer and settings."""
    description: str
    """Documents and tokens, for the header."""


def gather_materials(
    config: RunConfig, world: World, checkpoint: Path | None, display: Display
) -> Materials:
    """Return what the run needs, making what is not there yet.

    Args:
        config: the run.
        world: its processes; the main one makes, the others wait.
        checkpoint: the checkpoint it continues, whose tokenizer is taken.
        display: where to say what is being made.

    Raises:
        ValueError: if a file is broken, or text, tokenizer and objective do not fit.
        FileNotFoundError: if a named file or folder is not there.
    """
    data = config.data
    with world.main_first():
        tokenizer = _open_tokenizer(config, world, checkpoint, display)
    with world.main_first():
        corpora = [_prepared(entry, config, tokenizer, world) for entry in data.train]
        held_out = [_prepared(entry, config, tokenizer, world) for entry in data.validation]
    names = [*data.train, *(f"{entry} (held out)" for entry in data.validation)]
    display.show(
        documents_table(
            list(zip(names, [*corpora, *held_out], strict=True)), max_length=data.max_length
        )
    )
    sampler = Sampler(
        corpora,
        _objective(config.objective, tokenizer, data.max_length),
        special_ids(tokenizer),
        SamplingSettings(
            max_length=data.max_length,
            seed=config.train.seed,
            weights=data.weights,
            alpha=data.alpha,
            temperature=_temperature(data),
        ),
    )
    return Materials(
        tokenizer=tokenizer,
        sampler=sampler,
        held_out=held_out,
        row_length=data.row_length or data.max_length,
        content=[corpus.folder.name for corpus in corpora],
        description=_describe(corpora, sampler),
    )


def held_out_sampler(
    config: RunConfig, materials: Materials, objective: ObjectiveSettings
) -> Sampler | None:
    """Return samples of the held-out text under an objective, or None without such text."""
    if not materials.held_out:
        return None
    return Sampler(
        materials.held_out,
        _objective(objective, materials.tokenizer, config.data.max_length),
        special_ids(materials.tokenizer),
        SamplingSettings(max_length=config.data.max_length, seed=_HELD_OUT_SEED),
    )


def _objective(
    settings: ObjectiveSettings, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> Mixture:
    return build_objective(
        settings, special_ids(tokenizer), sentence_end_flags(tokenizer), max_length
    )


def _temperature(data: DataSettings) -> TemperatureSchedule | None:
    start, end, epochs = data.temperature_start, data.temperature_end, data.temperature_epochs
    if start is None or end is None or epochs is None:
        return None
    return TemperatureSchedule(start=start, end=end, epochs=epochs)


def _open_tokenizer(
    config: RunConfig, world: World, checkpoint: Path | None, display: Display
) -> PreTrainedTokenizerFast:
    """Return the run's tokenizer; the main process trains it if none is given."""
    folder = checkpoint or config.tokenizer.path or config.model.init_from
    if folder is None:
        folder = config.train.output_dir / TOKENIZER_NAME
        if world.is_main:
            display.say("training a tokenizer on the training text")
            _train_tokenizer(config, world).save_pretrained(folder)
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(f"{folder} is no tokenizer folder: it has no tokenizer.json")
    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder)
    return tokenizer


def _train_tokenizer(config: RunConfig, world: World) -> PreTrainedTokenizerFast:
    from unblank.tokenization.train import train_tokenizer

    settings, preset = config.tokenizer, config.model.preset
    kind = settings.kind or _PRESET_KINDS.get(preset.lower(), "wordpiece")
    is_lowercase = kind == "wordpiece" if settings.lowercase is None else settings.lowercase
    paths = find_files(config.data.train)
    return train_tokenizer(
        _text_files(paths, config.data),
        kind=kind,
        vocab_size=settings.vocab_size or config_from_preset(preset).vocab_size,
        lowercase=is_lowercase,
        num_sentinels=settings.num_sentinels,
        extra_tokens=settings.extra_tokens,
    )


def _text_files(paths: Sequence[Path], data: DataSettings) -> TextFiles:
    return TextFiles(paths=tuple(paths), text_field=data.text_field, text_unit=data.text_unit)


def _prepared(
    entry: str, config: RunConfig, tokenizer: PreTrainedTokenizerFast, world: World
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


def _describe(corpora: Sequence[PreparedCorpus], sampler: Sampler) -> str:
    num_tokens = sum(corpus.num_tokens for corpus in corpora)
    num_documents = sum(len(corpus) for corpus in corpora)
    return (
        f"{num_tokens:,} tokens in {num_documents:,} documents; "
        f"{sampler.num_chunks:,} samples an epoch"
    )
