"""The settings of a pretraining run: one frozen dataclass a section, `PretrainSettings` for all.

A run is a YAML file that is a serialised `PretrainSettings` (`unblank.settings.recipes`), or the
same names as flags. Checks that need nothing but the values live here; checks that need files, data
or hardware live where these are used. Standard library only: `--help` reads it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unblank.engine.settings import OptimSettings, TrainSettings
from unblank.families.settings import (
    FamilySections,
    GanLMSettings,
    ModelSettings,
    TokenizerSettings,
)
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings
from unblank.settings.checks import require

__all__ = ["DataSettings", "PretrainSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSettings:
    """Where the text is, how sources are mixed, and the shape of a row."""

    train: tuple[str, ...] = ()
    """Files, folders or globs of training text: .txt, .jsonl(.gz, .zst), .parquet."""
    validation: tuple[str, ...] = ()
    """The same for held-out text: its loss is logged and its blanks are filled now and then."""
    pairs: tuple[str, ...] = ()
    """Parallel text for encoder-decoders: SOURCE_FILE:TARGET_FILE, line by line, or
    FILE:SOURCE_FIELD:TARGET_FIELD for jsonl and parquet."""
    validation_pairs: tuple[str, ...] = ()
    """The same, held out."""
    languages: tuple[str, ...] | None = None
    """Language of each entry of `train`, for mBART's form of denoising and for MASS: the tag __xx__
    of language xx must be in the vocabulary (tokenizer.extra_tokens)."""
    validation_languages: tuple[str, ...] | None = None
    """The same for each entry of `validation`."""
    text_field: str = "text"
    """Field that holds the text, in jsonl and parquet."""
    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What one document of a .txt file is: all of it, a block between blank lines, or a line."""
    weights: tuple[float, ...] | None = None
    """Share of samples drawn from each entry of `train`, then of each entry of `pairs`."""
    alpha: float | None = None
    """Draw each source with p ~ size**alpha instead of given weights."""
    temperature_start: float | None = None
    """Sampling temperature (1/alpha) in the first epoch, when it is scheduled."""
    temperature_end: float | None = None
    """Sampling temperature when the schedule has ended."""
    temperature_epochs: int | None = None
    """Epochs over which the temperature moves from start to end."""
    max_length: int = 512
    """Positions of one sample, Part A and Part B together; for encoder-decoders, tokens of one text
    before it is corrupted, and positions of either side."""
    too_long: Literal["cut", "refuse"] = "cut"
    """Pairs that do not fit max_length: their longer side is cut and they are counted, or they are
    refused. Texts of `train` are divided into samples, which loses nothing."""
    row_length: int | None = None
    """Positions of a row, into which whole samples are packed; None = max_length. Encoder-decoders
    do not pack: micro_batch_size * row_length padded positions, source and target together, are
    one forward pass over samples of like length."""
    num_workers: int = 0
    """Processes that make batches ahead of the training step."""
    cache_dir: Path | None = None
    """Where tokenized shards are kept; None = `shards` beside the output folder."""

    def __post_init__(self) -> None:
        require(self.max_length >= 32, f"max_length is {self.max_length}: 32 is the least")
        require(self.num_workers >= 0, f"num_workers is {self.num_workers}: below 0")
        require(
            self.row_length is None or self.row_length >= self.max_length,
            f"row_length {self.row_length} is below max_length {self.max_length}: a sample would "
            "not fit its row",
        )
        require(
            self.weights is None or len(self.weights) == len(self.train) + len(self.pairs),
            f"{len(self.weights or ())} weights for {len(self.train)} entries of data.train"
            + (f" and {len(self.pairs)} of data.pairs" if self.pairs else ""),
        )
        for prefix, entries in (("", "train"), ("validation_", "validation")):
            given: tuple[str, ...] | None = getattr(self, f"{prefix}languages")
            count = len(getattr(self, entries))
            require(
                given is None or len(given) == count,
                f"{len(given or ())} {prefix}languages for {count} entries of data.{entries}",
            )
        require(
            (self.languages is None) == (self.validation_languages is None) or not self.validation,
            "languages and validation_languages go together: held-out text is measured in the form "
            "that was trained",
        )
        schedule = (self.temperature_start, self.temperature_end, self.temperature_epochs)
        is_given = [value is not None for value in schedule]
        require(
            all(is_given) or not any(is_given),
            "temperature_start, temperature_end and temperature_epochs go together",
        )
        ways = [self.weights is not None, self.alpha is not None, any(is_given)]
        require(
            sum(ways) <= 1, "give one of weights, alpha, temperature_*: they exclude one another"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainSettings:
    """Everything that defines a pretraining run."""

    model: ModelSettings = field(default_factory=ModelSettings)
    """The network."""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    """The vocabulary."""
    data: DataSettings = field(default_factory=DataSettings)
    """The text."""
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """What is blanked, and how often, by a GLM."""
    seq2seq: Seq2SeqSettings = field(default_factory=Seq2SeqSettings)
    """What is hidden, and how often, by an encoder-decoder."""
    ganlm: GanLMSettings = field(default_factory=GanLMSettings)
    """The losses of a GanLM."""
    optim: OptimSettings = field(default_factory=OptimSettings)
    """The optimiser."""
    train: TrainSettings = field(default_factory=TrainSettings)
    """The run."""

    @property
    def sections(self) -> FamilySections:
        """The sections that belong to some families."""
        return FamilySections(objective=self.objective, seq2seq=self.seq2seq, ganlm=self.ganlm)
