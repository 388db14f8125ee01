"""The settings of a model and its vocabulary. Standard library only: `--help` reads it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings
from unblank.settings.checks import require
from unblank.settings.identity import MayChange, SharesOut
from unblank.settings.marks import Excludes
from unblank.settings.ranges import (
    NotNegative,
    Positive,
    Probability,
    ProperShare,
    VocabularySize,
    check_values,
    minimum,
)
from unblank.tokenization.kinds import TextNormalization

__all__ = [
    "ElectraSettings",
    "FamilySections",
    "GanLMSettings",
    "ModelSettings",
    "TokenizerSettings",
]

DecoderStart = Literal["interleaved", "vanilla", "vanilla-random-cross-attention", "random"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSettings:
    """The network: a preset with some of its fields changed, or an existing folder."""

    preset: Annotated[str, Excludes("model.init_from")] = "small"
    """Size by name: tiny, small, base, large, 410m, 515m, roberta, chinese-large, 2b, 10b,
    multiglm-1b; electra-tiny, -small, -base, -large; deltalm-tiny, -small, -base, -large,
    -large-prenorm; ganlm-tiny, -small, -base, -large."""
    init_from: Annotated[Path | None, Excludes("model.preset")] = None
    """Folder of a model to start from (continued pretraining), instead of a preset."""
    init_from_encoder: Path | None = None
    """Folder of a pretrained encoder to make a DeltaLM from: XLM-R, InfoXLM, RoBERTa, BERT, or a
    model of this library trained with the objective `masked`."""
    decoder_start: DecoderStart = "interleaved"
    """How the decoder is initialised from the encoder; all but interleaved are baselines of the
    DeltaLM paper."""
    hidden_size: Positive[int | None] = None
    """Width. Default: the preset's."""
    num_hidden_layers: Positive[int | None] = None
    """Number of layers; for an encoder-decoder, of the encoder, with the decoder in the preset's
    ratio. Default: the preset's."""
    num_attention_heads: Positive[int | None] = None
    """Number of attention heads, which must divide the width. Default: the preset's."""
    hidden_dropout: ProperShare[float | None] = None
    """Dropout of embeddings and of each residual branch. Default: the preset's."""
    attention_dropout: ProperShare[float | None] = None
    """Dropout of attention weights. Default: the preset's."""
    attention_implementation: SharesOut[Literal["sdpa", "eager", "flex_attention"]] = "sdpa"
    """Attention kernel; flex_attention needs a GPU."""
    activation_checkpointing: SharesOut[bool] = False
    """Recompute each layer in the backward pass: less memory, about a third more computation."""

    def __post_init__(self) -> None:
        check_values(self)
        require(
            self.init_from is None or self.init_from_encoder is None,
            "init_from and init_from_encoder exclude each other: give one of them",
        )
        require(
            self.decoder_start == "interleaved" or self.init_from_encoder is not None,
            f"decoder_start {self.decoder_start!r} needs init_from_encoder: give both, or "
            "leave it out",
        )

    @property
    def dropouts(self) -> dict[str, float]:
        """The fields of a configuration that the dropouts change, where they are given."""
        given = {
            "hidden_dropout_prob": self.hidden_dropout,
            "attention_probs_dropout_prob": self.attention_dropout,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class GanLMSettings:
    """GanLM's discriminator and the weights of its losses."""

    discriminator_weight: NotNegative[float] = 10.0
    """Weight of replaced-token detection (lambda); with both weights 0 only span corruption, the T5
    objective, is left."""
    denoising_weight: NotNegative[float] = 1.0
    """Weight of replaced-token denoising."""
    discriminator_start_step: NotNegative[int] = 0
    """Step before which the weight of detection is 0."""
    discriminator_warmup_steps: NotNegative[int] = 0
    """Number of steps over which the weight of detection then grows to its value."""
    denoising_start_step: NotNegative[int] = 0
    """Step before which the weight of denoising is 0."""
    denoising_warmup_steps: NotNegative[int] = 0
    """Number of steps over which the weight of denoising then grows to its value."""
    denoising_rule: Literal["errors", "agreements", "all"] = "errors"
    """Where sampled tokens replace the decoder's input: where the discriminator errs (the released
    program), where it is right (the wording of the paper), or everywhere."""
    discriminator_reads: Literal["target", "sentence"] = "target"
    """What the discriminator sees around the tokens it judges: the other spans and their sentinels
    (the released program), or the whole sentence (the wording of the paper; needs span
    corruption)."""
    sampling_temperature: Annotated[float, minimum(0.001)] = 1.0
    """Temperature by which the generator's logits are divided when tokens are sampled."""
    discriminator_layers: Positive[int | None] = None
    """Number of layers of the discriminator. Default: the preset's."""
    share_discriminator: bool = False
    """Use the generator's first layers as the discriminator (ablation)."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ElectraSettings:
    """The weight of ELECTRA's discriminator, and from which step on it counts."""

    discriminator_weight: Positive[float] = 50.0
    """Weight of replaced-token detection; 50 in the paper."""
    discriminator_start_step: NotNegative[int] = 0
    """Step before which that weight is 0, so that the generator learns first."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilySections:
    """The sections of a run that belong to some families; each family reads its own."""

    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """What a GLM blanks, and how often."""
    seq2seq: Seq2SeqSettings = field(default_factory=Seq2SeqSettings)
    """What an encoder-decoder hides, and how often."""
    ganlm: GanLMSettings = field(default_factory=GanLMSettings)
    """The discriminator of a GanLM, and the weights of its losses."""
    electra: ElectraSettings = field(default_factory=ElectraSettings)
    """The discriminator of an ELECTRA."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerSettings:
    """A tokenizer that exists, or how to train one on the training data before the first step."""

    path: Path | None = None
    """Folder of a tokenizer. Default: one is trained and kept with the run."""
    kind: Literal["wordpiece", "unigram", "bpe"] | None = None
    """Kind of tokenizer to train. Default: the preset's."""
    vocab_size: VocabularySize[Positive[int | None]] = None
    """Number of tokens to train, special tokens included. Default: the preset's."""
    lowercase: MayChange[bool | None] = None
    """Lower-case the text (wordpiece: and drop accents), as the uncased English models do. A run
    that is continued keeps its tokenizer. Default: no."""
    normalization: TextNormalization | None = None
    """Form of Unicode that text is brought into: nfc (loses nothing), nfkc (also full-width letters
    and ligatures become usual ones), none. Default: nfc."""
    alpha: Probability[float | None] = None
    """Share of the text that is drawn from each language (or entry without one) to train it:
    p ~ characters**alpha instead of p ~ characters."""
    num_characters: NotNegative[int] = 0
    """Number of characters to draw for that; 0 = as many as there are. A sample is quicker."""
    num_sentinels: VocabularySize[NotNegative[int]] = 0
    """Number of sentinels [MASK1], [MASK2], ... to reserve (for objective.sentinels and span
    corruption); 0 means 100 for an encoder-decoder, also with an existing vocabulary."""
    extra_tokens: tuple[str, ...] = ()
    """Further special tokens, such as language tags, added to an existing vocabulary, too; a model
    that exists gets new rows for them."""
    transfer_rows: bool = False
    """With model.init_from and path: give the model the vocabulary in path. Tokens that both have
    keep their embeddings, others start from the mean of their pieces."""

    def __post_init__(self) -> None:
        check_values(self)
