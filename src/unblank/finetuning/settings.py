"""The settings of a fine-tuning run: a frozen dataclass a section, `FinetuneSettings` for all.

Checks that need nothing but the values live here. Standard library only: `--help` reads it. What
fine-tuning shares with pretraining is in `unblank.engine.settings`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unblank.adapters.settings import LoraSettings, PromptSettings
from unblank.engine.settings import ScheduleName, TrackerName
from unblank.families.settings import GanLMSettings, ModelSettings, TokenizerSettings
from unblank.finetuning.labels.settings import ClozeSettings, Grid
from unblank.settings.checks import require, require_positive, require_share

__all__ = [
    "FinetuneData",
    "FinetuneGanLM",
    "FinetuneModel",
    "FinetuneOptim",
    "FinetuneSettings",
    "FinetuneTrain",
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
class FinetuneModel(ModelSettings):
    """The model to start from: a folder, or random weights of a preset as a baseline."""

    preset: str = ""
    """Size by name, as for `unblank pretrain`, to train from random weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneData:
    """Where the examples are, and which of their fields are learnt."""

    train: tuple[str, ...] = ()
    """Files of training examples: .jsonl, .parquet, .tsv, .csv (.gz, .zst); for pairs of texts also
    SOURCE_FILE:TARGET_FILE, line by line, and FILE:SOURCE_FIELD:TARGET_FIELD."""
    validation: tuple[str, ...] = ()
    """The same for held-out examples: they choose the best checkpoint."""
    hold_out: float | None = None
    """Tasks with labels, instead of `validation`: about this share of the training examples, those
    whose text hashes into it (the same ones in every run), is held out."""
    source: str = "source"
    """Field of the source text, or a text with fields in braces, such as "{passage} Question:
    [MASK] Answer: {answer}". A list of sentences is joined by spaces. Columns of a .tsv without
    names are 1, 2, ..."""
    target: str = "target"
    """Field of the target text. A list holds several references: each is an example of its own in
    training, all of them count in validation."""
    languages: tuple[str, ...] | None = None
    """Languages of each entry of `train`, as SOURCE-TARGET such as en-de, for language tags."""
    validation_languages: tuple[str, ...] | None = None
    """The same for each entry of `validation`."""
    tag: Literal["target", "source"] = "target"
    """Whose language the tag __xx__ before every source names, if languages are given."""
    alpha: float | None = None
    """Draw each entry of `train` with p ~ size**alpha instead of p ~ size."""
    temperature_start: float | None = None
    """Sampling temperature (1/alpha) in the first epoch, when it is scheduled; usual: 1."""
    temperature_end: float | None = None
    """Sampling temperature when the schedule has ended; usual: 5."""
    temperature_epochs: int | None = None
    """Epochs over which the temperature moves from start to end; usual: 5."""
    monolingual: tuple[str, ...] = ()
    """Text (.txt, .jsonl, .parquet) of the languages to transfer to: half of the steps then hide
    and restore spans of it, so that a model tuned on one language keeps writing the others."""
    text_field: str = "text"
    """Field of the text in `monolingual`."""
    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What one document of a .txt file in `monolingual` is."""
    num_workers: int = 0
    """Processes that make batches ahead of the training step."""

    def __post_init__(self) -> None:
        require_share(self, "hold_out")
        require(not (self.hold_out and self.validation), "give validation or hold_out, not both")
        require(self.num_workers >= 0, f"num_workers is {self.num_workers}: below 0")
        for names, entries in (("languages", "train"), ("validation_languages", "validation")):
            given = getattr(self, names)
            count = len(getattr(self, entries))
            require(
                given is None or len(given) == count,
                f"{len(given or ())} {names} for {count} entries of data.{entries}",
            )
            for pair in given or ():
                require(
                    pair.count("-") == 1 and all(pair.split("-")),
                    f"{names} holds {pair!r}: give SOURCE-TARGET, such as en-de",
                )
        schedule = (self.temperature_start, self.temperature_end, self.temperature_epochs)
        is_given = [value is not None for value in schedule]
        require(
            all(is_given) or not any(is_given),
            "temperature_start, temperature_end and temperature_epochs go together",
        )
        require(self.alpha is None or not any(is_given), "give alpha or temperature_*, not both")

    @property
    def is_validated(self) -> bool:
        """Whether there are held-out examples."""
        return bool(self.validation or self.hold_out)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairSettings:
    """Source text to target text."""

    label_smoothing: float = 0.1
    """Probability that training moves from the target token to all others, in [0, 1)."""
    max_source_length: int = 256
    """Tokens of the longest source, special tokens included."""
    max_target_length: int = 128
    """Tokens of the longest target, its end included."""
    too_long: TooLong = "cut"
    """Longer texts are cut at the end, skipped with their pair, or refused; counts are printed."""
    blank: Literal["[MASK]", "[sMASK]", "[gMASK]"] = "[sMASK]"
    """GLM: the blank put behind a source that has none; the target fills it."""
    mask_ratio: float = 0.15
    """Share of the tokens of `data.monolingual` to hide."""

    def __post_init__(self) -> None:
        require_share(self, "label_smoothing", "mask_ratio")
        require_positive(self, "max_source_length", "max_target_length")


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneGanLM(GanLMSettings):
    """GanLM's discriminator and the weights of its losses; it helps training, then is dropped."""

    branch: Literal["both", "generator", "discriminator"] = "both"
    """What is tuned to write: the generator, with the discriminator's help; the generator alone; or
    the discriminator's few layers, made causal, with the embedding table as their output."""
    discriminator_weight: float = 5.0
    """Weight of replaced-token detection (lambda)."""
    keep_discriminator: bool = False
    """Keep the discriminator in the finished folder, to train on."""

    def __post_init__(self) -> None:
        GanLMSettings.__post_init__(self)
        if self.branch != "both":
            weights = self.discriminator_weight, self.denoising_weight
            require(
                weights in ((5.0, 1.0), (0.0, 0.0)) and not self.keep_discriminator,
                f"branch {self.branch} has neither the losses of a discriminator nor one to keep: "
                "leave their weights and keep_discriminator out, or choose branch both",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneOptim:
    """AdamW and its learning rate."""

    learning_rate: float | None = None
    """Peak learning rate; None = 1e-4, and more where few parameters change: 5e-4 for lora and for
    a prompt with an encoder, 3e-2 for a prompt without one, 1e-2 for deep-prompt."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of the first and second moment."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    weight_decay: float = 0.01
    """Decoupled weight decay; biases and LayerNorms are excluded, embeddings are not."""
    warmup_steps: int | None = None
    """Steps of linear warm-up; None = warmup_ratio."""
    warmup_ratio: float = 0.06
    """Warm-up as a share of all steps, in [0, 1)."""
    schedule: ScheduleName = "linear"
    """Shape of the decay after warm-up."""
    min_learning_rate_ratio: float = 0.0
    """Floor of the schedule, as a share of the peak."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 = not clipped."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "eps")
        require_share(self, "min_learning_rate_ratio", "warmup_ratio")
        for name in ("weight_decay", "warmup_steps", "clip_norm"):
            value = getattr(self, name)
            require(value is None or value >= 0, f"{name} is {value}: below 0")
        require(all(0 <= beta < 1 for beta in self.betas), f"betas {self.betas} not in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneTrain:
    """Length and size of the run, how the model is chosen, and the hardware."""

    output_dir: Path = Path("runs/finetune")
    """Folder of the run: the chosen model at the end, metrics, predictions, checkpoints."""
    epochs: float = 10.0
    """Passes over the training examples."""
    max_steps: int | None = None
    """Optimiser steps, instead of epochs."""
    batch_tokens: int = 8192
    """Source/target tasks: positions of one optimiser step, source and target together, padding
    included, over all micro-batches and processes."""
    micro_batch_tokens: int | None = None
    """Positions of one forward pass in one process; it bounds the memory. None = batch_tokens, or
    the share of a process."""
    batch_size: int = 16
    """Tasks with labels: examples of one optimiser step, over all micro-batches and processes."""
    micro_batch_size: int | None = None
    """Tasks with labels: examples of one forward pass in one process; None = all of its share."""
    seed: int = 1
    """Seed of new weights, of the order of the examples and of dropout."""
    seeds: tuple[int, ...] = ()
    """Several seeds: a run each in OUTPUT_DIR/seed-N, then their mean and standard deviation."""
    metric: str | None = None
    """Score that chooses the checkpoint; None = the task's own. Source/target tasks: loss, bleu,
    chrf, rouge1, rouge2, rougeL, exact_match (None is loss)."""
    validate_every: int | None = None
    """Steps between two validations; None = once an epoch, 0 = never."""
    validation_samples: int | None = None
    """Held-out examples to validate on, the same at every validation; None = all. Of several
    files each gives its share."""
    patience: int | None = None
    """Stop after so many validations in a row without a better score; None = never."""
    average_last: int = 0
    """Also average the weights of the last so many validated checkpoints; 0 = no."""
    final: Literal["better", "best", "average", "last"] = "better"
    """Which weights become the finished model: the best checkpoint, the average, the last one, or
    the better one of best and average."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    save_every: int | None = None
    """Steps between two checkpoints to resume from; None = at each validation."""
    keep_checkpoints: int = 1
    """How many of the latest of these are kept."""
    resume: str = "auto"
    """auto = continue what output_dir holds; never = refuse if it holds a run; else a checkpoint
    folder."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 = autocast with fp32 weights; auto takes it where the hardware is fast at it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How processes started by torchrun share the model: a copy each, or a shard each."""
    max_nonfinite_steps: int = 5
    """Stop after so many steps in a row without a finite loss and gradient."""
    arrange_memory: bool = True
    """Huge pages and a malloc that keeps its memory, for the command's own process (Linux)."""
    track: tuple[TrackerName, ...] = ()
    """Also send metrics to these (extra `track`)."""

    def __post_init__(self) -> None:
        require_positive(self, "epochs", "max_steps", "batch_tokens", "micro_batch_tokens")
        require_positive(self, "batch_size", "micro_batch_size", "validation_samples", "patience")
        require_positive(self, "log_every", "save_every", "keep_checkpoints")
        require_positive(self, "max_nonfinite_steps")
        for given, whole in (
            (self.micro_batch_tokens, self.batch_tokens),
            (self.micro_batch_size, self.batch_size),
        ):
            require(
                given is None or given <= whole,
                f"a forward pass of {given} is more than the {whole} of a whole step: lower "
                "micro_batch_tokens or micro_batch_size",
            )
        for name in ("seed", "average_last", "validate_every"):
            value = getattr(self, name)
            require(value is None or value >= 0, f"{name} is {value}: below 0")
        require(
            len(set(self.seeds)) == len(self.seeds) and all(seed >= 0 for seed in self.seeds),
            f"seeds {self.seeds} must be different numbers from 0",
        )
        require(
            self.final != "average" or self.average_last > 0,
            "final 'average' needs train.average_last",
        )
        needs_validation = self.patience or self.average_last or self.final == "best"
        require(
            self.validate_every != 0 or not needs_validation,
            "patience, average_last and final 'best' need validation: validate_every is 0",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationSettings:
    """How held-out sources are answered for scores of text."""

    num_beams: int = 1
    """Beams; 1 = greedy."""
    max_tokens: int | None = None
    """Tokens of the longest output; None = seq2seq.max_target_length."""
    min_tokens: int = 0
    """Tokens of the shortest output."""
    length_penalty: float = 1.0
    """Exponent of the length that a beam's score is divided by."""
    no_repeat_ngram: int = 0
    """Let no n-gram of this length occur twice; 0 = off."""
    batch_size: int = 32
    """Sources answered together."""
    bleu_tokenizer: Literal["13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none"] = "13a"
    """sacreBLEU's tokenizer; zh and ja-mecab for Chinese and Japanese."""

    def __post_init__(self) -> None:
        require_positive(self, "num_beams", "max_tokens", "batch_size")
        require(self.min_tokens >= 0, f"min_tokens is {self.min_tokens}: below 0")
        require(self.no_repeat_ngram >= 0, f"no_repeat_ngram is {self.no_repeat_ngram}: below 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneSettings:
    """Everything that defines a fine-tuning run."""

    task: str = "seq2seq"
    """seq2seq (source text to target text), the name of a prompt template, or your own YAML."""
    method: MethodName = "full"
    """Which weights change: all (full), all below a classifier head, few (lora, prompt,
    deep-prompt), or none: only evaluate."""
    model: FinetuneModel = field(default_factory=FinetuneModel)
    """The model to start from."""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    """The vocabulary, where the model does not bring one."""
    data: FinetuneData = field(default_factory=FinetuneData)
    """The examples."""
    seq2seq: PairSettings = field(default_factory=PairSettings)
    """Source text to target text."""
    ganlm: FinetuneGanLM = field(default_factory=FinetuneGanLM)
    """The losses of a GanLM."""
    cloze: ClozeSettings = field(default_factory=ClozeSettings)
    """Tasks with labels."""
    grid: Grid = field(default_factory=Grid)
    """Settings to try."""
    lora: LoraSettings = field(default_factory=LoraSettings)
    """Adapters."""
    prompt: PromptSettings = field(default_factory=PromptSettings)
    """Trained prompts."""
    optim: FinetuneOptim = field(default_factory=FinetuneOptim)
    """The optimiser."""
    train: FinetuneTrain = field(default_factory=FinetuneTrain)
    """The run."""
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    """The decoding of held-out sources."""

    def __post_init__(self) -> None:
        is_unused = {
            "lora": self.method != "lora" and self.lora != LoraSettings(),
            "prompt": "prompt" not in self.method and self.prompt != PromptSettings(),
            "prompt.encoder": self.method == "deep-prompt" and self.prompt.encoder is not None,
        }
        for name, unused in is_unused.items():
            require(not unused, f"{name} is set, but --method {self.method} does not use it")

    @property
    def learning_rate(self) -> float:
        """The peak learning rate: as set, or what is usual for the method."""
        if self.optim.learning_rate is not None:
            return self.optim.learning_rate
        if self.method == "prompt" and self.prompt.encoder not in (None, "none"):
            return _RATE_OF_ENCODERS
        return _LEARNING_RATES.get(self.method, _RATE_OF_WEIGHTS)
