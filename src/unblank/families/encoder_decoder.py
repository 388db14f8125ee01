"""What all encoder-decoders here have in common: a source, a target, and their vocabulary."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.sampling import Objective
from unblank.families.decoding import FAIRSEQ_STOPPING
from unblank.families.family import Family, LoraTargets, OptionalSetting, UsualVocabulary
from unblank.families.rows import GROUPED
from unblank.families.settings import FamilySections, ModelSettings
from unblank.objectives.seq2seq import (
    build_pair_objective,
    build_seq2seq_objective,
    seq2seq_shares,
)
from unblank.objectives.source_target import encoder_decoder_pair
from unblank.tokenization.special import SpecialIds, encoder_decoder_ids
from unblank.tokenization.vocabulary import padded_vocab_size

__all__ = [
    "encoder_decoder_family",
    "new_encoder_decoder_fields",
]

_VOCABULARY = UsualVocabulary(kind="unigram", size=250104, num_sentinels=100)
"""As published with DeltaLM and GanLM."""

_APPLIES: frozenset[OptionalSetting] = frozenset(
    {"seq2seq", "data.pairs", "data.languages", "train.sample_every"}
)
"""Optional settings that apply to every encoder-decoder."""

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")

_LORA_TARGETS: dict[LoraTargets, tuple[str, ...]] = {
    "attention": _ATTENTION,
    "all": (*_ATTENTION, "up_proj", "down_proj"),
}
"""Linear layers that get adapters, in the encoder and the decoder."""


def encoder_decoder_family(
    *,
    name: str,
    presets: Mapping[str, Mapping[str, Any]],
    pretraining_class: type[PreTrainedModel],
    generating_class: type[PreTrainedModel],
    also_applies: OptionalSetting,
) -> Family:
    """Return what all encoder-decoders have in common; `dataclasses.replace` changes the rest.

    Args:
        name: of the family.
        presets: its sizes.
        pretraining_class: model class that pretraining builds.
        generating_class: model class that writes.
        also_applies: the optional setting that applies besides those of every encoder-decoder.
    """
    return Family(
        name=name,
        presets=presets,
        pretraining_class=pretraining_class,
        generating_class=generating_class,
        writes="targets",
        stopping=FAIRSEQ_STOPPING,
        lora_targets=_LORA_TARGETS,
        special_ids=encoder_decoder_ids,
        vocabulary=_VOCABULARY,
        applies=_APPLIES | {also_applies},
        text_objective=_source_objective,
        pair_objective=_translation_objective,
        objective_shares=_shares,
        pair_example=encoder_decoder_pair,
        rows=GROUPED,
        smoothing=_fairseq_smoothing,
        new_fields=new_encoder_decoder_fields,
        shape=_shape,
        keeps_preset_positions=True,
    )


def _source_objective(
    sections: FamilySections,
    special: SpecialIds,
    sentence_end: Any,
    max_length: int,
    language_id: int | None,
) -> Objective[Any]:
    """Return the mixture of the section `seq2seq`."""
    return build_seq2seq_objective(sections.seq2seq, special, sentence_end, max_length, language_id)


def _translation_objective(
    sections: FamilySections, special: SpecialIds, sentence_end: Any, max_length: int
) -> Objective[Any]:
    """Return translation span corruption, for pairs."""
    return build_pair_objective(sections.seq2seq, special, sentence_end, max_length)


def _shares(sections: FamilySections) -> dict[str, float]:
    """Return objective name -> share of the texts' samples."""
    return seq2seq_shares(sections.seq2seq)


def _fairseq_smoothing(epsilon: float, num_rows: int) -> float:
    """Return the smoothing over all V rows that is `epsilon` over the V - 1 wrong tokens.

    DeltaLM's and GanLM's programs spread epsilon over the other tokens: the target keeps 1 -
    epsilon, each other token has epsilon / (V - 1). The models spread over all rows.

    Example:
        >>> round(_fairseq_smoothing(0.1, 11), 6)
        0.11
    """
    return epsilon * num_rows / (num_rows - 1)


def _shape(preset: Mapping[str, Any], settings: ModelSettings) -> dict[str, int]:
    """Return the fields that the settings change; the decoder keeps the preset's ratio of depth.

    Raises:
        ValueError: if the layers cannot be divided in that ratio.
    """
    given = {
        "hidden_size": settings.hidden_size,
        "num_attention_heads": settings.num_attention_heads,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    layers = settings.num_hidden_layers
    if layers is None:
        return changed
    ratio = preset["encoder_layers"] // preset["decoder_layers"]
    if layers % ratio:
        raise ValueError(
            f"model.num_hidden_layers is {layers}: an interleaved decoder has one layer for every "
            f"{ratio} of the encoder, so give a multiple of {ratio}"
        )
    return {**changed, "encoder_layers": layers, "decoder_layers": layers // ratio}


def new_encoder_decoder_fields(
    tokenizer: PreTrainedTokenizerFast, sections: FamilySections
) -> dict[str, Any]:
    """Return the fields of a new configuration that the vocabulary decides."""
    ids, num_tokens = encoder_decoder_ids(tokenizer), len(tokenizer)
    return {
        "vocab_size": padded_vocab_size(num_tokens),
        "tokenizer_size": num_tokens,
        "bos_token_id": ids.cls,
        "pad_token_id": ids.pad,
        "eos_token_id": ids.eos,
        "unk_token_id": ids.unk,
        "mask_token_id": ids.mask,
        "decoder_start_token_id": ids.sop,
    }
