"""`Seq2SeqSettings`: the options of the encoder-decoders' objectives, with the standard library.

It is the `seq2seq` section of a training configuration, so each field's docstring is what `--help`
prints. Objectives are built from it in `seq2seq`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from unblank.settings.checks import require_a_weight
from unblank.settings.ranges import (
    NotNegative,
    OpenShare,
    Probability,
    check_values,
    minimum,
)

__all__ = ["MaskRatioSettings", "Seq2SeqSettings", "SpanRule"]

SpanRule = Literal["unilm", "t5"]
"""How many spans, and where: see `unblank.objectives.span_corruption.noise_spans`."""

MaskSide = Literal["both", "one", "source", "target"]
"""Which sentences of a pair are corrupted; "one" draws one of them."""

Noise = Literal["infill", "mask", "delete"]
"""What BART does to tokens; see `unblank.objectives.denoising`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRatioSettings:
    """How much of a text is hidden, in pretraining and wherever spans are hidden beside it."""

    mask_ratio: OpenShare[float] = 0.15
    """Share of a text's tokens to hide by span corruption, in (0, 1)."""

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seq2SeqSettings(MaskRatioSettings):
    """What an encoder-decoder reads and predicts; the defaults are DeltaLM's and GanLM's.

    Raises:
        ValueError: for a value out of its range or values that contradict each other.
    """

    span_corruption: NotNegative[float] = 1.0
    """Weight of span corruption (T5, DeltaLM, GanLM); weights need not sum to 1."""

    denoising: NotNegative[float] = 0.0
    """Weight of denoising (BART, a baseline): the whole text is predicted from a corrupted one."""

    mass: NotNegative[float] = 0.0
    """Weight of MASS (a baseline): one long fragment is hidden and predicted."""

    mean_span_length: Annotated[float, minimum(1)] = 3.0
    """Mean length of a span in tokens, for texts and for pairs."""

    span_rule: SpanRule = "unilm"
    """unilm: counts are rounded down, and spans lie anywhere but at the end (DeltaLM, GanLM); t5:
    counts are rounded to the nearest, and the text starts unhidden and ends hidden."""

    pair_mask_ratio: OpenShare[float] = 0.5
    """Share of the tokens to hide in translation span corruption (data.pairs), in (0, 1)."""

    pair_mask_side: MaskSide = "both"
    """Sentences of a pair to corrupt: both, one of them at random, source or target."""

    swap_pairs: bool = True
    """Draw for every sample which sentence of a pair comes first."""

    remove_source_sentinels: bool = False
    """Leave no trace of a hidden span in the source."""

    remove_target_sentinels: bool = False
    """Leave sentinels out of the target, so that they are never generated (zero-shot transfer);
    needs start_token."""

    start_token: bool = False
    """Start the decoder with its start token. Otherwise its first input is the first sentinel, as
    in GanLM."""

    end_token: bool = False
    """End the target of span corruption with the end token (T5)."""

    closing_sentinel: bool = False
    """End the target of span corruption with one more sentinel (the T5 paper)."""

    noise: Noise = "infill"
    """BART: how tokens are corrupted. infill: each span becomes one mask, and masks are also put
    where nothing is missing; mask: single tokens become masks; delete: they are removed."""

    noise_ratio: Probability[float] = 0.3
    """BART: share of the tokens to corrupt, in [0, 1]."""

    noise_span_length: Annotated[float, minimum(1)] = 3.0
    """BART: mean of the Poisson distribution of span lengths, 0 included; mBART uses 3.5."""

    random_token_ratio: Probability[float] = 0.0
    """BART: share of masks replaced by a random token; the baseline of GanLM uses 0.15."""

    permute_sentences: Probability[float] = 1.0
    """BART: share of the sentences to permute, in [0, 1]."""

    rotate_probability: Probability[float] = 0.0
    """BART: probability that the text is rotated to start at a random token."""

    fragment_ratio: OpenShare[float] = 0.5
    """MASS: share of the text that the fragment covers, in (0, 1)."""

    def __post_init__(self) -> None:
        check_values(self)
        require_a_weight(self.weights())
        if self.remove_target_sentinels and not self.start_token:
            raise ValueError(
                "remove_target_sentinels leaves the decoder without a first input: set "
                "start_token too"
            )

    def weights(self) -> dict[str, float]:
        """Return objective name -> weight as given, those of weight 0 included."""
        names = ("span_corruption", "denoising", "mass")
        return {name: getattr(self, name) for name in names}
