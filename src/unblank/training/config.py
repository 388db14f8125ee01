"""The settings of a pretraining run: one frozen dataclass a section, `RunConfig` for the whole.

A run is a YAML file that is a serialised `RunConfig` (`training.recipe`), or the same names as
flags (`training.command_line`). Checks that need nothing but the values live here; checks that
need files, data or hardware live where these are used. Standard library only: `--help` reads it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings

__all__ = [
    "DataSettings",
    "DecoderStart",
    "GanLMSettings",
    "ModelSettings",
    "OptimSettings",
    "RunConfig",
    "ScheduleName",
    "TokenizerSettings",
    "TrackerName",
    "TrainSettings",
    "require",
    "require_positive",
    "require_share",
]

ScheduleName = Literal["cosine", "linear", "inverse_sqrt", "constant"]
DecoderStart = Literal["interleaved", "vanilla", "vanilla-random-cross-attention", "random"]
TrackerName = Literal["tensorboard", "wandb", "trackio"]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_positive(section: object, *names: str) -> None:
    """Raise ValueError for a field of the section that is set and not above 0."""
    for name in names:
        value = getattr(section, name)
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def require_share(section: object, *names: str) -> None:
    """Raise ValueError for a field of the section that is set and outside [0, 1)."""
    for name in names:
        value = getattr(section, name)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSettings:
    """The network: a preset with some of its fields changed, or an existing folder."""

    preset: str = "small"
    """Size by name: tiny, small, base, large, 410m, 515m, roberta, chinese-large, 2b, 10b,
    multiglm-1b; electra-tiny, -small, -base, -large; deltalm-tiny, -small, -base, -large,
    -large-prenorm; ganlm-tiny, -small, -base, -large."""
    init_from: Path | None = None
    """Folder of a model to start from (continued pretraining); the preset is then not used."""
    init_from_encoder: Path | None = None
    """Folder of a pretrained encoder to make a DeltaLM of: XLM-R, InfoXLM, RoBERTa, BERT, or a
    model of this library trained with the objective `masked`."""
    decoder_start: DecoderStart = "interleaved"
    """How the decoder starts from the encoder; the others are the rivals of DeltaLM's paper."""
    hidden_size: int | None = None
    """Width, instead of the preset's."""
    num_hidden_layers: int | None = None
    """Depth, instead of the preset's; of the encoder, with the decoder in the preset's ratio."""
    num_attention_heads: int | None = None
    """Attention heads, instead of the preset's; they must divide the width."""
    hidden_dropout: float | None = None
    """Dropout of embeddings and of each residual branch, instead of the preset's."""
    attention_dropout: float | None = None
    """Dropout of attention weights, instead of the preset's."""
    attention_implementation: Literal["sdpa", "eager", "flex_attention"] = "sdpa"
    """Attention kernel; flex_attention needs a GPU."""
    activation_checkpointing: bool = False
    """Recompute each layer in the backward pass: less memory, about a third more work."""

    def __post_init__(self) -> None:
        require_positive(self, "hidden_size", "num_hidden_layers", "num_attention_heads")
        require_share(self, "hidden_dropout", "attention_dropout")
        require(
            self.init_from is None or self.init_from_encoder is None,
            "init_from continues a model and init_from_encoder makes a new one: give one of them",
        )
        require(
            self.decoder_start == "interleaved" or self.init_from_encoder is not None,
            f"decoder_start {self.decoder_start!r} needs init_from_encoder",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GanLMSettings:
    """GanLM's discriminator and the weights of its losses."""

    discriminator_weight: float = 10.0
    """Weight of replaced-token detection (lambda); with both weights 0 only span corruption is
    left, the T5 objective."""
    denoising_weight: float = 1.0
    """Weight of replaced-token denoising."""
    discriminator_start_step: int = 0
    """The weight of detection is 0 before this step."""
    discriminator_warmup_steps: int = 0
    """Steps over which the weight of detection then grows to its value."""
    denoising_start_step: int = 0
    """The weight of denoising is 0 before this step."""
    denoising_warmup_steps: int = 0
    """Steps over which the weight of denoising then grows to its value."""
    denoising_rule: Literal["errors", "agreements", "all"] = "errors"
    """Where sampled tokens disturb the decoder: where the discriminator errs (the released
    program), where it is right (the wording of the paper), everywhere."""
    discriminator_reads: Literal["target", "sentence"] = "target"
    """What stands around the judged tokens: the other spans and their sentinels (the released
    program), or the whole sentence (the wording of the paper; needs span corruption)."""
    sampling_temperature: float = 1.0
    """Divides the generator's logits when tokens are sampled."""
    discriminator_layers: int | None = None
    """Layers of the discriminator, instead of the preset's."""
    share_discriminator: bool = False
    """Let the generator's first layers be the discriminator (ablation)."""

    def __post_init__(self) -> None:
        require_positive(self, "sampling_temperature", "discriminator_layers")
        for name in ("discriminator", "denoising"):
            for part in ("weight", "start_step", "warmup_steps"):
                value = getattr(self, f"{name}_{part}")
                require(value >= 0, f"{name}_{part} is {value}: below 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerSettings:
    """A tokenizer that exists, or how to train one on the training data before the first step."""

    path: Path | None = None
    """Folder of a tokenizer; without it, one is trained and kept with the run."""
    kind: Literal["wordpiece", "unigram", "bpe"] | None = None
    """Kind to train; None = the preset's."""
    vocab_size: int | None = None
    """Entries to train, special tokens included; None = the preset's."""
    lowercase: bool | None = None
    """Lower-case the text; None = as BERT: True for wordpiece, False for the others."""
    num_sentinels: int = 0
    """How many numbered masks [MASK1], [MASK2], ... to reserve (for objective.sentinels and span
    corruption); 0 means 100 for an encoder-decoder, also beside an existing vocabulary."""
    extra_tokens: tuple[str, ...] = ()
    """Further special tokens, such as the tags of languages; a new model also gets them beside an
    existing vocabulary."""

    def __post_init__(self) -> None:
        require_positive(self, "vocab_size")
        require(self.num_sentinels >= 0, f"num_sentinels is {self.num_sentinels}: below 0")


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
class OptimSettings:
    """AdamW and its learning rate."""

    learning_rate: float = 4e-4
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of the first and second moment."""
    eps: float = 1e-6
    """Added to the root of the second moment."""
    weight_decay: float = 0.1
    """Decoupled weight decay; biases and LayerNorms are excluded, embeddings are not."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    schedule: ScheduleName = "cosine"
    """Shape of the decay after warm-up."""
    min_learning_rate_ratio: float = 0.05
    """Floor of the schedule, as a share of the peak."""
    decay_steps: int | None = None
    """Step at which cosine and linear reach the floor; None = train.max_steps."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 = not clipped."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "eps", "decay_steps")
        require_share(self, "min_learning_rate_ratio")
        for name in ("weight_decay", "warmup_steps", "clip_norm"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}: below 0")
        require(all(0 <= beta < 1 for beta in self.betas), f"betas {self.betas} not in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """Length and size of the run, what it writes and when, and the hardware."""

    output_dir: Path = Path("runs/pretrain")
    """Folder of the run: the model at the end, checkpoints, metrics, tokenizer."""
    max_steps: int = 1000
    """Optimiser steps."""
    batch_size: int = 32
    """Rows of one optimiser step, over all micro-batches and processes."""
    micro_batch_size: int = 8
    """Rows of one forward pass in one process; it bounds the memory."""
    seed: int = 0
    """Seed of the initial weights, the samples and the dropout."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    save_every: int = 500
    """Steps between two checkpoints; the last step is always saved."""
    keep_checkpoints: int = 2
    """How many of the latest checkpoints are kept."""
    validate_every: int = 500
    """Steps between two measurements of the held-out loss; 0 = never."""
    validation_samples: int = 512
    """Held-out samples over which the loss is measured, the same ones each time."""
    sample_every: int = 0
    """Steps between two rounds of filling blanks in held-out text; 0 = never."""
    resume: str = "auto"
    """auto = continue what output_dir holds; never = refuse if it holds a run; else a checkpoint
    folder."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 = autocast with fp32 weights; auto takes it where the hardware is fast at it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How processes started by torchrun share the model: a copy each, or a shard each."""
    compile: bool = False
    """Compile the encoder stack with torch.compile."""
    sampled_softmax: int = 0
    """Estimate the training loss from so many rows of the vocabulary, the targets of the
    micro-batch among them; 0 = exactly, from all. Faster for vocabularies above some 60,000."""
    max_nonfinite_steps: int = 5
    """Stop after so many steps in a row without a finite loss and gradient."""
    arrange_memory: bool = True
    """Huge pages and a malloc that keeps its memory, for the command's own process (Linux)."""
    track: tuple[TrackerName, ...] = ()
    """Also send metrics to these (extra `track`)."""

    def __post_init__(self) -> None:
        positive = ("max_steps", "batch_size", "micro_batch_size", "log_every", "save_every")
        require_positive(self, *positive, "keep_checkpoints", "validation_samples")
        require_positive(self, "max_nonfinite_steps")
        for name in ("seed", "validate_every", "sample_every", "sampled_softmax"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}: below 0")
        require(
            self.batch_size % self.micro_batch_size == 0,
            f"batch_size {self.batch_size} is not a multiple of micro_batch_size "
            f"{self.micro_batch_size}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
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
