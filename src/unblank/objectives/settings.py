"""`ObjectiveSettings`: the options of the training objectives, checked, with the standard library.

It is the `objective` section of a training configuration, so each field's docstring is what
`--help` prints. Objectives are built from it in `mixture`.
"""

from dataclasses import dataclass
from typing import Annotated

from unblank.settings.checks import require_a_weight
from unblank.settings.identity import EarlierDefault
from unblank.settings.ranges import (
    NotNegative,
    Positive,
    PositiveShare,
    Probability,
    TextLength,
    check_values,
)

__all__ = ["ObjectiveSettings"]

_WEIGHTED_OBJECTIVES = (
    *("token", "sentence", "document", "masked", "causal"),
    *("mixed_masks", "fill_in_the_middle", "diffusion"),
)
"""Objectives that a mixture draws from; each has a weight in `ObjectiveSettings`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveSettings:
    """What is masked, how often, and how it is laid out; the defaults are GLM's token spans.

    Raises:
        ValueError: for a value out of its range or values that contradict each other.
    """

    token: NotNegative[float] = 1.0
    """Weight of short token spans, each replaced by one [MASK]; weights need not sum to 1."""

    sentence: NotNegative[float] = 0.0
    """Weight of whole sentences, each replaced by one [sMASK]."""

    document: NotNegative[float] = 0.0
    """Weight of one long span, replaced by [gMASK], in the middle or up to the end of the text."""

    masked: NotNegative[float] = 0.0
    """Weight of BERT's objective (a baseline): single tokens are hidden and predicted in place
    (80/10/10)."""

    causal: NotNegative[float] = 0.0
    """Weight of GPT's objective (a baseline): each token is predicted from those before it."""

    mixed_masks: NotNegative[float] = 0.0
    """Weight of UniLM's objective (a baseline): tokens are hidden and predicted in place, seen from
    both sides, from one, or as source and target."""

    fill_in_the_middle: NotNegative[float] = 0.0
    """Weight of fill-in-the-middle (a baseline): a causal model reads prefix, suffix and middle.
    Half of the weight on causal is its usual mixture."""

    diffusion: NotNegative[float] = 0.0
    """Weight of masked diffusion (a baseline): any share of the tokens is hidden and predicted in
    place."""

    mask_ratio: PositiveShare[float] = 0.15
    """Share of the tokens to mask, in (0, 1]; for token, sentence, masked and mixed_masks."""
    sentence_limit: Annotated[NotNegative[float], EarlierDefault(0.0)] = 2.0
    """Sentence spans hide at most this many times mask_ratio; a longer sentence is hidden in part.
    0 sets no limit, as in the published program."""

    mean_span_length: Positive[float] = 3.0
    """Mean of the Poisson distribution of token span lengths (0 and lengths over the maximum are
    left out, so 3 gives spans of 3.16 tokens on average)."""

    max_span_length: TextLength[Positive[int]] = 39
    """Longest token span, in tokens."""

    shuffle_spans: bool = True
    """Put the spans of Part B in random order, not in the order of the text (ablation)."""

    sentinels: bool = False
    """Ablation: mark token spans by [MASK1], [MASK2], ... in both parts instead of by position; the
    tokenizer must have enough of them (--tokenizer.num-sentinels)."""

    block_positions: bool = True
    """Second position row: the place inside the span; without, it is constant (ablation)."""

    block_mask_probability: Probability[float] = 0.0
    """Probability that an input token of Part B is replaced by [dBLOCK], in token spans only;
    targets stay. The large published models use 0.1."""

    short_sequence_probability: Probability[float] = 0.0
    """Probability that a sample uses only a short stretch of the text, of at least 32 tokens. The
    large published models use 0.02."""

    single_span_probability: Probability[float] = 0.0
    """Probability that a sample has exactly one token span, regardless of the weights."""

    random_positions: bool = False
    """Start positions at a random number, so that they end before `data.max_length`, not at 0."""

    document_min_ratio: Probability[float] = 0.5
    """Shortest long span, as a share of the text in [0, 1]; the longest is the whole text. The
    large published models use 0.25."""

    document_suffix_probability: Probability[float] = 0.5
    """Probability that the long span reaches to the end of the text (suffix form); otherwise it
    lies anywhere and ends with end-of-piece (infill form)."""

    task_masks: bool = True
    """Use [sMASK] and [gMASK] for sentences and long spans, rather than [MASK] for everything."""

    def __post_init__(self) -> None:
        check_values(self)
        if self.single_span_probability < 1:
            require_a_weight(self.weights())
        self._check_reach()

    def weights(self) -> dict[str, float]:
        """Return objective name -> weight as given, those of weight 0 included."""
        return {name: getattr(self, name) for name in _WEIGHTED_OBJECTIVES}

    def _check_reach(self) -> None:
        """One token stays between two spans, which limits the share that spans can cover."""
        longest = max(1.0, min(self.mean_span_length, float(self.max_span_length)))
        reach = longest / (longest + 1)
        if self.token > 0 and self.mask_ratio >= reach:
            raise ValueError(
                f"mask_ratio is {self.mask_ratio}, but token spans of about {longest:g} tokens "
                f"with a token between them cover at most {reach:.2f} of a text: lower "
                "mask_ratio, or raise mean_span_length and max_span_length"
            )
