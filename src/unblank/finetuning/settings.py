"""The settings of a fine-tuning run: a frozen dataclass a section, `FinetuneSettings` for all.

Checks that need nothing but the values live here. Standard library only: `--help` reads it. What
fine-tuning shares with pretraining is in `unblank.engine.settings`.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

from unblank.adapters.settings import LoraSettings, PromptSettings
from unblank.data.settings import DataSettings
from unblank.engine.settings import (
    FinalName,
    NotWithMinutes,
    OptimSettings,
    ScheduleName,
    TrainSettings,
)
from unblank.families.settings import GanLMSettings, ModelSettings, TokenizerSettings
from unblank.finetuning.labels.settings import ClozeSettings, GridSettings
from unblank.finetuning.questions.settings import QuestionSettings
from unblank.metrics.bleu_tokenizers import BleuTokenizer
from unblank.objectives.seq2seq_settings import MaskRatioSettings
from unblank.settings.checks import require
from unblank.settings.choices import BlankToken
from unblank.settings.identity import MayChange, SharesOut
from unblank.settings.marks import Excludes, PathText
from unblank.settings.ranges import (
    Duration,
    LengthPenalty,
    NotNegative,
    NumBeams,
    OpenShare,
    Positive,
    PositiveShare,
    ProperShare,
    Seed,
    TextLength,
    check_values,
)

__all__ = [
    "FinetuneDataSettings",
    "FinetuneGanLMSettings",
    "FinetuneModelSettings",
    "FinetuneSettings",
    "FinetuneTrainSettings",
    "GenerationSettings",
    "MethodName",
    "MetricName",
    "PairSettings",
]

MethodName = Literal["full", "classifier", "lora", "prompt", "deep-prompt", "none"]
MetricName = Literal["loss", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "exact_match"]
TooLong = Literal["cut", "skip", "refuse"]

_LEARNING_RATES: dict[MethodName, float] = {"lora": 5e-4, "prompt": 3e-2, "deep-prompt": 1e-2}
_RATE_OF_WEIGHTS = 1e-4
_RATE_OF_ENCODERS = 5e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneModelSettings(ModelSettings):
    """The model to start from: a folder, or random weights of a preset as a baseline."""

    preset: Annotated[str, Excludes("model.init_from")] = ""
    """Size by name, as for `unblank pretrain`, to train from random weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneDataSettings(DataSettings):
    """Where the examples are, and which of their fields are used."""

    train: MayChange[tuple[PathText, ...]] = ()
    """Files, folders or globs of training examples, of any format (docs/data.md); for text pairs
    also SOURCE_FILE:TARGET_FILE, line by line, and FILE:SOURCE:TARGET, with a source and a target
    of its own. @en-de behind an entry names the languages of its sides, @sw one that both have, and
    {lang} in it stands for the code in the name of each file."""
    validation: MayChange[tuple[PathText, ...]] = ()
    """The same for held-out examples, which choose the best checkpoint."""
    hold_out: ProperShare[float | None] = None
    """Tasks with labels, instead of `validation`: hold out about this share of the training
    examples, chosen by a hash of their text, so the same ones in every run."""
    share: PositiveShare[float] = 1.0
    """Text pairs: train on about this share of the examples, chosen by a hash of their source, so
    that a smaller share is part of a larger one."""
    source: str = "source"
    """Field of the source, or a text with fields in braces, such as "{passage} Question: [MASK]
    Answer: {answer}". A list of sentences is joined by spaces. Columns of a .tsv without names are
    1, 2, ... {hint:summary}, {hint:headline} and {hint:translation} are words of the target's
    language: "{article} {hint:summary}: [sMASK]"."""
    target: str = "target"
    """Field of the target. A list holds several references: each is an example of its own in
    training, and all of them count in validation."""
    lines: tuple[str, ...] = ()
    """Text pairs: names of the lines of which a record of a .txt file consists, such as article and
    summary where they take turns (NCLS). Default: each line is a record with the field text."""
    languages: tuple[str, ...] | None = None
    """Languages of each entry of `train`, as SOURCE-TARGET such as en-de, for language tags."""
    tag: Literal["target", "source"] = "target"
    """Whose language the tag __xx__ before every source names, if languages are given."""
    monolingual: MayChange[tuple[PathText, ...]] = ()
    """Text (.txt, .jsonl, .parquet) of the languages to transfer to: half of the steps then hide
    and restore spans of it, so that a model fine-tuned on one language keeps writing the others."""

    def __post_init__(self) -> None:
        DataSettings.__post_init__(self)
        require(
            not (self.hold_out and self.validation),
            "validation and hold_out exclude each other: give one of them",
        )
        require(
            len(set(self.lines)) == len(self.lines) != 1 and all(self.lines),
            f"lines are {self.lines}: give two different names or more, one for each line of a "
            "record",
        )
        for names in ("languages", "validation_languages"):
            for pair in getattr(self, names) or ():
                require(
                    pair.count("-") == 1 and all(pair.split("-")),
                    f"{names} has {pair!r}: give SOURCE-TARGET, such as en-de",
                )

    @property
    def is_validated(self) -> bool:
        """Whether there are held-out examples."""
        return bool(self.validation or self.hold_out)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairSettings(MaskRatioSettings):
    """Text pairs: source to target."""

    label_smoothing: ProperShare[float] = 0.1
    """Label smoothing: probability moved from the target token to all others, in [0, 1)."""
    max_source_length: TextLength[Positive[int]] = 256
    """Most tokens of a source, special tokens included; if not given, no more than the model has
    positions."""
    max_target_length: TextLength[Positive[int]] = 128
    """Most tokens of a target, its end included; if not given, no more than the model has
    positions."""
    too_long: TooLong = "cut"
    """Whether longer texts are cut at the end, skipped with their pair, or refused; counts are
    printed."""
    blank: BlankToken = "[sMASK]"
    """GLM: the blank put after a source that has none; the target fills it."""
    mask_ratio: OpenShare[float] = 0.15
    """Share of the tokens of `data.monolingual` to hide, in (0, 1)."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneGanLMSettings(GanLMSettings):
    """GanLM's discriminator and the weights of its losses; it helps training, then is dropped."""

    branch: Literal["both", "generator", "discriminator"] = "both"
    """What is fine-tuned to write: the generator, with the discriminator's losses (both); the
    generator alone; or the discriminator's few layers, made causal, with the embedding table as
    their output."""
    discriminator_weight: NotNegative[float] = 5.0
    """Weight of replaced-token detection (lambda)."""
    keep_discriminator: MayChange[bool] = False
    """Keep the discriminator in the finished folder, for further training."""

    def __post_init__(self) -> None:
        GanLMSettings.__post_init__(self)
        if self.branch != "both":
            weights = self.discriminator_weight, self.denoising_weight
            require(
                weights in ((5.0, 1.0), (0.0, 0.0)) and not self.keep_discriminator,
                f"branch {self.branch} trains without a discriminator: leave the weights of its "
                "losses and keep_discriminator out, or choose branch both",
            )

    @property
    def of_any_run(self) -> GanLMSettings:
        """The same without what is for fine-tuning alone."""
        names = [one.name for one in fields(GanLMSettings)]
        return GanLMSettings(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneOptimSettings(OptimSettings):
    """The optimiser and its learning rate."""

    learning_rate: Positive[float | None] = None
    """Peak learning rate. Default: 1e-4, but 5e-4 for lora and for a prompt with an encoder, 3e-2
    for a prompt without one, 1e-2 for deep-prompt."""
    eps: Positive[float] = 1e-8
    weight_decay: NotNegative[float] = 0.01
    warmup_steps: NotNegative[int | None] = None
    """Number of steps of linear warm-up, instead of warmup_ratio."""
    warmup_ratio: ProperShare[float] = 0.06
    """Warm-up as a fraction of all steps, in [0, 1)."""
    schedule: ScheduleName = "linear"
    min_learning_rate_ratio: ProperShare[float] = 0.0

    def warmup(self, max_steps: int) -> int:
        """Return the steps of warm-up in a run of `max_steps` steps."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        return round(self.warmup_ratio * max_steps)


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneTrainSettings(TrainSettings):
    """Length and size of the run, how the model is chosen, and the hardware."""

    output_dir: MayChange[Path] = Path("runs/finetune")
    epochs: MayChange[Duration[Positive[float]]] = 10.0
    """Number of passes over the training examples."""
    max_steps: NotWithMinutes[Positive[int | None]] = None
    """Number of optimiser steps, instead of epochs."""
    batch_tokens: Positive[int] = 8192
    """Text pairs: positions per optimiser step, source and target together, padding included, over
    all micro-batches and processes."""
    micro_batch_tokens: Positive[int | None] = None
    """Text pairs: positions per forward pass in one process; bounds the memory. Default:
    batch_tokens, or a process's share of it."""
    batch_size: Positive[int] = 16
    """Tasks with labels: examples per optimiser step, over all micro-batches and processes."""
    micro_batch_size: SharesOut[Positive[int | None]] = None
    """Tasks with labels: examples per forward pass in one process; bounds the memory. Default: all
    of its share."""
    seeds: MayChange[Seed[tuple[int, ...]]] = ()
    """Several seeds: one run each, in OUTPUT_DIR/seed-N, then their mean and standard deviation."""
    metric: str | None = None
    """Metric that chooses the checkpoint. Text pairs: loss, bleu, chrf, rouge1, rouge2, rougeL,
    exact_match. Questions: f1, em, char_f1, loss, by language, each with equal weight. Default:
    the task's own; loss for text pairs, f1 for questions."""
    save_every: MayChange[Positive[int | None]] = None
    """Steps between two checkpoints to resume from. Default: one at each validation."""
    validate_every: MayChange[NotNegative[int | None]] = None
    """Steps between two validations; 0 = never. Default: once an epoch."""
    validation_samples: MayChange[Positive[int | None]] = None
    """Number of held-out examples to validate on, the same random choice each time, from each file
    in proportion. Default: all."""
    patience: MayChange[Positive[int | None]] = None
    """Stop after this many validations in a row without a better score. Default: never."""
    final: MayChange[FinalName] = "better"

    def __post_init__(self) -> None:
        TrainSettings.__post_init__(self)
        for given, whole in (
            (self.micro_batch_tokens, self.batch_tokens),
            (self.micro_batch_size, self.batch_size),
        ):
            require(
                given is None or given <= whole,
                f"a forward pass of {given} exceeds the {whole} of a whole step: lower "
                "micro_batch_tokens or micro_batch_size",
            )
        require(
            len(set(self.seeds)) == len(self.seeds),
            f"seeds are {self.seeds}: they must be different numbers",
        )
        require(
            self.validate_every != 0 or not self.patience,
            "patience counts validations, and validate_every is 0: give a number of steps, or "
            "leave it out",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationSettings:
    """How held-out sources are answered for scores of text."""

    num_beams: NumBeams[int] = 1
    """Number of beams; 1 = greedy decoding."""
    max_tokens: Positive[int | None] = None
    """Most tokens of an output. Default: seq2seq.max_target_length."""
    min_tokens: NotNegative[int] = 0
    """Fewest tokens of an output."""
    length_penalty: LengthPenalty[float] = 1.0
    """Beams are ranked by log-probability / tokens ** penalty."""
    no_repeat_ngram: NotNegative[int] = 0
    """Let no n-gram of this length occur twice in an output; 0 = off."""
    batch_size: Positive[int] = 32
    """Number of sources answered together."""
    bleu_tokenizer: BleuTokenizer = "13a"
    """Tokenizer for BLEU, of sacreBLEU; auto follows the script of the references, as `unblank
    evaluate` does: zh, ja-mecab, ko-mecab, char, or 13a."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneSettings:
    """Everything that defines a fine-tuning run."""

    task: PathText = "seq2seq"
    """seq2seq (text pairs), qa (questions about passages), the name of a task with labels, or your
    own YAML file."""
    method: MethodName = "full"
    """Which weights are trained: all (full), all with a classifier head (classifier), few (lora,
    prompt, deep-prompt), or none, to evaluate only."""
    model: FinetuneModelSettings = field(default_factory=FinetuneModelSettings)
    """The model to start from."""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    """The vocabulary, if the model has none."""
    data: FinetuneDataSettings = field(default_factory=FinetuneDataSettings)
    """The examples."""
    seq2seq: PairSettings = field(default_factory=PairSettings)
    """Text pairs: source to target."""
    qa: QuestionSettings = field(default_factory=QuestionSettings)
    """Question answering."""
    ganlm: FinetuneGanLMSettings = field(default_factory=FinetuneGanLMSettings)
    """The losses of a GanLM."""
    cloze: ClozeSettings = field(default_factory=ClozeSettings)
    """Tasks with labels."""
    grid: GridSettings = field(default_factory=GridSettings)
    """Settings to try in combination."""
    lora: LoraSettings = field(default_factory=LoraSettings)
    """Adapters."""
    prompt: PromptSettings = field(default_factory=PromptSettings)
    """Trained prompts."""
    optim: FinetuneOptimSettings = field(default_factory=FinetuneOptimSettings)
    """The optimiser."""
    train: FinetuneTrainSettings = field(default_factory=FinetuneTrainSettings)
    """The run."""
    generation: MayChange[GenerationSettings] = field(default_factory=GenerationSettings)
    """How the answers to held-out sources are decoded."""

    @property
    def learning_rate(self) -> float:
        """The peak learning rate: as set, or what is usual for the method."""
        if self.optim.learning_rate is not None:
            return self.optim.learning_rate
        if self.method == "prompt" and self.prompt.encoder not in (None, "none"):
            return _RATE_OF_ENCODERS
        return _LEARNING_RATES.get(self.method, _RATE_OF_WEIGHTS)
