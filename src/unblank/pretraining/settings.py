"""The settings of a pretraining run: one frozen dataclass a section, `PretrainSettings` for all.

A run is a YAML file that is a serialised `PretrainSettings` (`unblank.settings.recipes`), or the
same names as flags. Checks that need nothing but the values live here; checks that need files, data
or hardware live where these are used. Standard library only: `--help` reads it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from unblank.data.settings import DataSettings
from unblank.engine.settings import FinalName, NotWithMinutes, OptimSettings, TrainSettings
from unblank.families.settings import (
    ElectraSettings,
    FamilySections,
    GanLMSettings,
    ModelSettings,
    TokenizerSettings,
)
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings
from unblank.settings.checks import require
from unblank.settings.identity import MayChange, SharesOut
from unblank.settings.marks import PathText
from unblank.settings.ranges import NotNegative, Positive, TextLength, minimum

__all__ = [
    "PretrainDataSettings",
    "PretrainOptimSettings",
    "PretrainSettings",
    "PretrainTrainSettings",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainDataSettings(DataSettings):
    """Where the text is, how sources are mixed, and the shape of a row."""

    train: MayChange[tuple[PathText, ...]] = ()
    """Files, folders, globs or URLs of training text, of any format (docs/data.md); - is text on
    standard input. PATH:FIELD, PATH@LANGUAGE and {lang} in a path say more (docs/multilingual.md).
    """
    validation: MayChange[tuple[PathText, ...]] = ()
    """The same for held-out text, whose loss is logged and whose blanks are filled at intervals."""
    hold_out: MayChange[Positive[float | None]] = None
    """Documents to hold out of `train` where there is no `validation`: their share (below 1) or
    their number, chosen by a hash of their text, so the same ones in every run."""
    pairs: tuple[PathText, ...] = ()
    """Parallel text for encoder-decoders: SOURCE_FILE:TARGET_FILE, line by line, or
    FILE:SOURCE_FIELD:TARGET_FIELD for .jsonl and .parquet."""
    validation_pairs: tuple[PathText, ...] = ()
    """The same for held-out parallel text."""
    languages: tuple[str, ...] | None = None
    """Language of each entry of `train`, for mBART's denoising and for MASS: the tag __xx__ of
    language xx must be in the vocabulary (tokenizer.extra_tokens)."""
    weights: Positive[tuple[float, ...] | None] = None
    """Share of samples to draw from each entry of `train`, then of `pairs`."""
    max_length: TextLength[Annotated[int, minimum(32)]] = 512
    """Most positions of one sample, Part A and Part B together; for encoder-decoders, most tokens
    of a text before it is corrupted, and positions of either side."""
    too_long: MayChange[Literal["cut", "refuse"]] = "cut"
    """Whether pairs that exceed max_length are refused, or cut on their longer side and counted.
    Texts of `train` are divided into samples, which loses nothing."""
    row_length: TextLength[Positive[int | None]] = None
    """Positions of a row, into which whole samples are packed. Encoder-decoders do not pack: a
    forward pass has micro_batch_size * row_length padded positions, source and target together, of
    samples of similar length. Default: max_length."""
    cache_dir: MayChange[Path | None] = None
    """Folder of tokenized shards. Default: `shards` beside the output folder."""
    verify: MayChange[bool] = False
    """Hash all text and all tokenized shards again, also of files that seem unchanged."""

    def __post_init__(self) -> None:
        DataSettings.__post_init__(self)
        require(
            self.hold_out is None or self.hold_out < 1 or self.hold_out % 1 == 0,
            f"hold_out is {self.hold_out}: give a share below 1, or a whole number of documents",
        )
        require(
            self.row_length is None or self.row_length >= self.max_length,
            f"row_length ({self.row_length}) must be at least max_length ({self.max_length}): a "
            "sample must fit into a row",
        )
        require(
            self.weights is None or len(self.weights) == len(self.train) + len(self.pairs),
            f"{len(self.weights or ())} weights for {len(self.train)} entries of data.train"
            + (f" and {len(self.pairs)} of data.pairs" if self.pairs else ""),
        )
        require(
            (self.languages is None) == (self.validation_languages is None) or not self.validation,
            "languages and validation_languages go together, as held-out text is measured as it is "
            "trained: give both",
        )
        require(
            self.weights is None or (self.alpha is None and self.temperature_start is None),
            "weights, alpha and temperature_* exclude each other: give one of them",
        )

    @property
    def has_held_out_files(self) -> bool:
        """Whether held-out text is named, so that none is taken from `train`."""
        return bool(self.validation or self.validation_pairs)


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainTrainSettings(TrainSettings):
    """Length and size of the run, what it writes and when, and the hardware."""

    output_dir: MayChange[Path] = Path("runs/pretrain")
    max_steps: NotWithMinutes[Positive[int | None]] = None
    """Optimiser steps. Default: 1,000, unless minutes are given."""
    micro_batch_size: SharesOut[Positive[int | None]] = None
    """Rows per forward pass in one process; bounds the memory. Default: the most up to 8 that
    divide batch_size."""
    save_every: MayChange[Positive[int | None]] = None
    """Steps between two checkpoints; the last step is always saved, and so is the step at which a
    signal ends the run. Default: 500, or a fifth of a shorter run."""
    keep_checkpoints: MayChange[Positive[int]] = 2
    validate_every: MayChange[NotNegative[int | None]] = None
    """Steps between two validations; 0 = never. Default: 500, or a fifth of a shorter run."""
    validation_samples: MayChange[Positive[int]] = 512
    """Held-out samples that are measured: as many of each language where these are known, else of
    each entry its share."""
    verbose: MayChange[bool] = False
    """Show a row for every language in the tables before the run, also where there are many."""
    sample_every: MayChange[NotNegative[int]] = 0
    """Steps between two rounds of filling blanks in held-out text; 0 = never."""
    compile: SharesOut[bool] = False
    """Compile the encoder stack with torch.compile."""
    final: MayChange[FinalName | None] = None
    """Which weights become the finished model: the last ones, the best checkpoint, the average of
    the last checkpoints, the moving average (ema), or the best of all these on held-out text
    (better). Default: better where there are averages, otherwise last."""
    first_embeddings: Literal["drawn", "cooccurrence"] = "drawn"
    """Where the embeddings of new weights come from: drawn at random, or computed from the training
    text, so that tokens with the same neighbours are alike. With little text or time a model then
    learns much sooner."""
    first_attention: Literal["drawn", "neighbours"] = "drawn"
    """Where the heads of the first layer of new weights look: everywhere, as they are drawn, or one
    and two tokens back and ahead. With little text or time a model then learns much sooner."""
    sampled_softmax: NotNegative[int] = 0
    """Number of rows of the vocabulary, the micro-batch's targets among them, from which the
    training loss is estimated; 0 = all rows, exactly. Faster for vocabularies above some 60,000."""

    def __post_init__(self) -> None:
        TrainSettings.__post_init__(self)
        require(
            self.batch_size % self.rows_per_pass == 0,
            f"batch_size ({self.batch_size}) must be a multiple of micro_batch_size "
            f"({self.micro_batch_size})",
        )

    @property
    def chosen_weights(self) -> FinalName | None:
        """Which weights become the model: as set, or the better ones if there are averages.

        None are the last ones, without a comparison.
        """
        has_average = self.average_last > 0 or self.ema_decay is not None
        return self.final or ("better" if has_average else None)

    @property
    def rows_per_pass(self) -> int:
        """Rows of a forward pass: as set, or the most up to 8 that divide a step's."""
        if self.micro_batch_size is not None:
            return self.micro_batch_size
        return max(rows for rows in range(1, 9) if self.batch_size % rows == 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainOptimSettings(OptimSettings):
    """The optimiser and its learning rate."""

    learning_rate: Positive[float] = 4e-4
    warmup_steps: NotNegative[int] = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainSettings:
    """Everything that defines a pretraining run."""

    model: ModelSettings = field(default_factory=ModelSettings)
    """The network."""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    """The vocabulary."""
    data: PretrainDataSettings = field(default_factory=PretrainDataSettings)
    """The text."""
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """What is blanked, and how often, by a GLM."""
    seq2seq: Seq2SeqSettings = field(default_factory=Seq2SeqSettings)
    """What is hidden, and how often, by an encoder-decoder."""
    ganlm: GanLMSettings = field(default_factory=GanLMSettings)
    """The losses of a GanLM."""
    electra: ElectraSettings = field(default_factory=ElectraSettings)
    """The losses of an ELECTRA."""
    optim: PretrainOptimSettings = field(default_factory=PretrainOptimSettings)
    """The optimiser."""
    train: PretrainTrainSettings = field(default_factory=PretrainTrainSettings)
    """The run."""

    @property
    def sections(self) -> FamilySections:
        """The sections that belong to some families."""
        return FamilySections(
            objective=self.objective,
            seq2seq=self.seq2seq,
            ganlm=self.ganlm,
            electra=self.electra,
        )
