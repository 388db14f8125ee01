"""A model family: one frozen value that holds everything in which families differ.

Code outside this package asks the value (`family.writes`, `family.rows`, ...) and never which
family it is. A new family is one more `Family`, in a file of its own, and one line in
`unblank.families.table`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.sampling import Objective
from unblank.engine.units import InfillUnit, TrainUnit
from unblank.examples import AnyExample, IntArray
from unblank.families.decoding import StoppingRule
from unblank.families.rows import RowKind
from unblank.families.settings import FamilySections, ModelSettings
from unblank.tokenization.kinds import TokenizerKind
from unblank.tokenization.special import SpecialIds

__all__ = ["Classifier", "Family", "LoraTargets", "OptionalSetting", "UsualVocabulary"]

OptionalSetting = Literal[
    "objective",
    "seq2seq",
    "ganlm",
    "electra",
    "data.pairs",
    "data.languages",
    "train.sample_every",
    "train.compile",
    "train.first_attention",
    "train.sampled_softmax",
]
"""Sections and settings of a run that apply to some families only."""

LoraTargets = Literal["attention", "all"]
"""Names of the groups of linear layers that can get adapters."""

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualVocabulary:
    """The vocabulary that a new model gets where the settings do not say otherwise.

    Attributes:
        kind: of the tokenizer.
        kinds: preset -> its kind, for those that were published with another one.
        size: tokens, for presets that do not name a size.
        num_sentinels: numbered masks, of which an existing vocabulary gets what it lacks; 0 adds
            none to an existing one.
    """

    kind: TokenizerKind
    kinds: Mapping[str, TokenizerKind] = field(default_factory=dict)
    size: int = 30592
    num_sentinels: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """How models of a family classify texts.

    Attributes:
        model_class: with a head over the class scores; its layers are `dense` and `out_proj`.
        between: special ids -> what stands between two texts of a row.
        starts_new: whether a classifier may start from a preset, without a pretrained model.
        pooled_field: field of the configuration that says which token is classified from, if that
            can be chosen.
        branch_field: field of the configuration that says which decoder is read, if there are two.
    """

    model_class: type[PreTrainedModel]
    between: Callable[[SpecialIds], tuple[int, ...]]
    starts_new: bool = False
    pooled_field: str | None = None
    branch_field: str | None = None


class UnitBuilder(Protocol):
    """Makes the training unit of a model."""

    def __call__(
        self,
        model: PreTrainedModel,
        sections: FamilySections,
        *,
        seed: int,
        label_smoothing: float = 0.0,
        sampled_softmax: int = 0,
    ) -> TrainUnit:
        """Return the unit.

        Args:
            model: the model that is trained; one that only writes has the usual loss.
            sections: weights and rules of the losses.
            seed: seed of what is sampled in training.
            label_smoothing: in [0, 1).
            sampled_softmax: rows of the vocabulary that the loss is estimated from; 0 is all.
        """
        ...


class TextObjective(Protocol):
    """Makes the objective for plain text."""

    def __call__(
        self,
        sections: FamilySections,
        special: SpecialIds,
        sentence_end: Any,
        max_length: int,
        language_id: int | None,
        /,
    ) -> Objective[Any]:
        """Return the objective.

        Args:
            sections: what is hidden.
            special: from `Family.special_ids`.
            sentence_end: uint8[V], from `sentence_end_flags`.
            max_length: positions of the longest sample.
            language_id: id of the tag of the text's language, or None.
        """
        ...


PairObjective = Callable[[FamilySections, SpecialIds, Any, int], Objective[Any]]
"""(sections, special ids, sentence ends, longest text) -> what corrupts pairs of texts."""


class EncoderStart(Protocol):
    """Makes a model of a pretrained encoder."""

    def __call__(
        self,
        settings: ModelSettings,
        encoder_fields: dict[str, Any],
        weights: Weights,
        fields: dict[str, Any],
        max_length: int,
        /,
    ) -> PreTrainedModel:
        """Return the model; what does not come from the encoder is drawn from torch's generator.

        Args:
            settings: the `model` section.
            encoder_fields: fields of the encoder's configuration.
            weights: of the encoder, under the names of `unblank.models.encoder_decoder.Encoder`.
            fields: fields of the new configuration that tokenizer and settings decide.
            max_length: positions that are needed.

        Raises:
            ValueError: if encoder, tokenizer and settings do not fit.
        """
        ...


def _usual_shape(preset: Mapping[str, Any], settings: ModelSettings) -> dict[str, int]:
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads")
    shape = {name: getattr(settings, name) for name in names}
    return {name: value for name, value in shape.items() if value is not None}


def _nothing_to_check(sections: FamilySections) -> None:
    pass


def _nothing_to_prepare(
    model: PreTrainedModel, sections: FamilySections, lacking: Sequence[str]
) -> None:
    pass


def _no_content_ids(config: Any, ids: Sequence[int]) -> None:
    pass


def _as_it_is(model: PreTrainedModel, weights: Weights) -> tuple[PreTrainedModel, Weights]:
    return model, weights


def _whole_model(model: PreTrainedModel, branch: str) -> PreTrainedModel:
    return model


def _one_loss(
    model: PreTrainedModel,
    sections: FamilySections,
    *,
    seed: int,
    label_smoothing: float = 0.0,
    sampled_softmax: int = 0,
) -> InfillUnit:
    return InfillUnit(label_smoothing, sampled_softmax)


def _same_smoothing(epsilon: float, num_rows: int) -> float:
    return epsilon


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Everything in which model families differ.

    What most families have in common is the default of a field.
    """

    # Its name and sizes.
    name: str
    """Short name in lower case; also the prefix of its presets, if they share one."""
    presets: Mapping[str, Mapping[str, Any]]
    """Name of a size, in lower case -> fields of the configuration."""

    # Its models.
    pretraining_class: type[PreTrainedModel]
    """Model class that pretraining builds; its `config_class` is the family's configuration."""
    generating_class: type[PreTrainedModel] | None
    """Model class that `unblank.load` opens; None if models of the family write nothing."""
    writes: Literal["blanks", "targets", "nothing"]
    """What a model writes: the fills of blanks, the target of a source, or nothing."""
    stopping: StoppingRule | None
    """When a beam search ends; None if nothing is written."""
    classifier: Classifier | None = None
    """How texts are classified; None if the family has no head for it."""
    lora_targets: Mapping[LoraTargets, tuple[str, ...]] = field(default_factory=dict)
    """Names of the linear layers that get adapters; empty if LoRA is not supported."""
    gives_encoder: bool = False
    """Whether an encoder-decoder can start from the model's stack, which is then GLM's."""
    takes_prompts: bool = False
    """Whether trained prompt vectors can be put into the text, or into every layer."""
    memory_factor: float = 1.0
    """Passes of a position through all layers, relative to a plain model of one stack."""

    # Its text.
    special_ids: Callable[[PreTrainedTokenizerFast], SpecialIds]
    """Tokenizer -> the ids of its special tokens, as the family uses them."""
    vocabulary: UsualVocabulary
    """The kind of vocabulary that a new model gets."""

    # What it learns.
    applies: frozenset[OptionalSetting]
    """Sections and settings that apply; the other `OptionalSetting`s are refused."""
    check_sections: Callable[[FamilySections], None] = _nothing_to_check
    """Raises ValueError if the sections contradict each other for this family."""
    text_objective: TextObjective
    """Makes the objective for plain text."""
    pair_objective: PairObjective | None = None
    """Makes the objective for pairs of texts; None if the family has none."""
    objective_shares: Callable[[FamilySections], dict[str, float]]
    """Sections -> objective name -> share of the texts' samples."""
    pair_example: Callable[[IntArray, IntArray, SpecialIds], AnyExample] | None = None
    """(source as the model reads it, target without its end, special ids) -> an example for
    fine-tuning on pairs; None if models of the family write nothing."""
    rows: RowKind
    """How examples share rows."""
    unit: UnitBuilder = _one_loss
    """Makes the training unit: what computes the losses of a batch."""
    smoothing: Callable[[float, int], float] = _same_smoothing
    """(label smoothing as the published program defines it, rows of the vocabulary) -> the same as
    the models define it, over all rows."""

    # How a model starts.
    new_fields: Callable[[PreTrainedTokenizerFast, FamilySections], dict[str, Any]]
    """(tokenizer, sections) -> fields of a new model's configuration."""
    shape: Callable[[Mapping[str, Any], ModelSettings], dict[str, int]] = _usual_shape
    """(preset, `model` section) -> fields of the shape that the section changes."""
    keeps_preset_positions: bool = False
    """Whether a new model has at least the positions of its preset, or just those the run needs."""
    from_encoder: EncoderStart | None = None
    """Makes a model from a pretrained encoder; None if the family cannot start from one."""
    optional_parts: tuple[str, ...] = ()
    """Prefixes of the weights that a folder to start from may lack."""
    prepare: Callable[[PreTrainedModel, FamilySections, Sequence[str]], None] = _nothing_to_prepare
    """(new or loaded model, sections, weights that its folder lacks): makes the model ready for
    training, and raises ValueError if the sections need what is lacking."""

    # What fine-tuning does to a model.
    add_special_ids: Callable[[Any, Sequence[int]], None] = _no_content_ids
    """(configuration, ids): records that tokens added to the vocabulary are not content."""
    writer: Callable[[PreTrainedModel, Any], PreTrainedModel] = _whole_model
    """(model, branch) -> the part of it that is fine-tuned to write alone."""
    published: Callable[[PreTrainedModel, Weights], tuple[PreTrainedModel, Weights]] = _as_it_is
    """(model, its weights) -> both without the parts that are used in training only."""

    @property
    def model_type(self) -> str:
        """The name of the family in `config.json`."""
        config_class: Any = self.pretraining_class.config_class
        model_type: str = config_class.model_type
        return model_type

    @property
    def unused_settings(self) -> dict[str, str]:
        """What pretraining a model of the family does not use: dotted name -> why, for messages."""
        names: set[str] = set(get_args(OptionalSetting)) - self.applies
        if "data.pairs" in names:
            names.add("data.validation_pairs")
        if "data.languages" in names:
            names.add("data.validation_languages")
        return dict.fromkeys(sorted(names), f"a model of the family {self.name} does not use it")

    def vocabulary_size(self, preset: str) -> int:
        """Return the tokens of the vocabulary that belongs to a preset."""
        size = self.presets.get(preset.lower(), {}).get("vocab_size", self.vocabulary.size)
        return int(size)

    def tokenizer_kind(self, preset: str) -> TokenizerKind:
        """Return the kind of tokenizer that a preset was published with."""
        return self.vocabulary.kinds.get(preset.lower(), self.vocabulary.kind)

    def num_sentinels(self, wanted: int) -> int:
        """Return how many sentinels a vocabulary gets; `wanted` 0 is the usual number."""
        return wanted or self.vocabulary.num_sentinels
