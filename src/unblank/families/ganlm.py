"""The family GanLM: an encoder-decoder that a discriminator helps in training."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.engine.units import InfillUnit, TrainUnit
from unblank.families.encoder_decoder import (
    encoder_decoder_family,
    new_encoder_decoder_fields,
)
from unblank.families.family import Classifier
from unblank.families.ganlm_unit import GanLMUnit
from unblank.families.settings import FamilySections, GanLMSettings
from unblank.models.ganlm import (
    GanLMConfig,
    GanLMForConditionalGeneration,
    GanLMForPreTraining,
    GanLMForSequenceClassification,
)
from unblank.models.ganlm.presets import GANLM_PRESETS
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.tokenization.special import SpecialIds, encoder_decoder_ids

__all__ = ["GANLM"]

_DISCRIMINATOR = "discriminator."


def _check_sections(sections: FamilySections) -> None:
    if sections.ganlm.discriminator_reads == "sentence":
        _require_spans(sections.seq2seq)


def _require_spans(seq2seq: Seq2SeqSettings) -> None:
    """Raise ValueError unless a sentence can be put together from every source and target."""
    unfit = ("denoising", "mass", "remove_source_sentinels", "remove_target_sentinels")
    for name in (*unfit, "end_token", "closing_sentinel"):
        if getattr(seq2seq, name):
            raise ValueError(
                f"ganlm.discriminator_reads sentence and seq2seq.{name} exclude each other, as the "
                "sentence is put together from spans after their sentinels: drop one"
            )


def _unit(
    model: PreTrainedModel,
    sections: FamilySections,
    *,
    seed: int,
    label_smoothing: float = 0.0,
    sampled_softmax: int = 0,
) -> TrainUnit:
    """Return the three losses; of a model that is a generator alone, the usual one."""
    if not isinstance(model, GanLMForPreTraining):
        return InfillUnit(label_smoothing)
    return GanLMUnit(model.config, sections.ganlm, seed, label_smoothing)


def _new_fields(tokenizer: PreTrainedTokenizerFast, sections: FamilySections) -> dict[str, Any]:
    """Return the fields of every encoder-decoder, and GanLM's own.

    Masks, sentinels, padding and unused rows are never content.
    """
    ids, ganlm = encoder_decoder_ids(tokenizer), sections.ganlm
    special = {*ids.sentinels, *ids.blanks, ids.dblock, ids.pad, ids.sop} - {ids.eos}
    fields = new_encoder_decoder_fields(tokenizer, sections) | {
        "sentinel_token_ids": sorted(special),
        "first_special_id": len(tokenizer),
        "share_generator_discriminator": ganlm.share_discriminator,
    }
    if ganlm.discriminator_layers is not None:
        fields["discriminator_layers"] = ganlm.discriminator_layers
    return fields


def _prepare(model: PreTrainedModel, sections: FamilySections, lacking: Sequence[str]) -> None:
    """Freeze a discriminator that no loss uses: replicas wait for gradients of all others."""
    is_used = _uses_discriminator(sections.ganlm)
    if lacking and is_used:
        raise ValueError(
            "the GanLM of --model.init-from has no discriminator: give one that has, or train "
            "the generator alone with --ganlm.discriminator-weight 0 --ganlm.denoising-weight 0 "
            "(in fine-tuning also --ganlm.branch generator)"
        )
    assert isinstance(model, GanLMForPreTraining)
    model.discriminator.requires_grad_(is_used)


def _uses_discriminator(ganlm: GanLMSettings) -> bool:
    return ganlm.discriminator_weight > 0 or ganlm.denoising_weight > 0


def _add_special_ids(config: GanLMConfig, ids: Sequence[int]) -> None:
    if config.first_special_id is None:  # else new ids lie behind that border
        config.sentinel_token_ids = [*(config.sentinel_token_ids or []), *ids]


def _writer(
    model: PreTrainedModel, branch: Literal["generator", "discriminator"]
) -> GanLMForConditionalGeneration:
    assert isinstance(model, GanLMForPreTraining)
    return model.writer(branch)


def _published(
    model: PreTrainedModel, weights: dict[str, Tensor]
) -> tuple[PreTrainedModel, dict[str, Tensor]]:
    """Return the generator, which is all that writing needs."""
    if not isinstance(model, GanLMForPreTraining):
        return model, weights
    kept = {name: value for name, value in weights.items() if not name.startswith(_DISCRIMINATOR)}
    return GanLMForConditionalGeneration(model.config), kept


def _between(special: SpecialIds) -> tuple[int, ...]:
    return (special.eos, special.eos)


GANLM = replace(
    encoder_decoder_family(
        name="ganlm",
        presets=GANLM_PRESETS,
        pretraining_class=GanLMForPreTraining,
        generating_class=GanLMForConditionalGeneration,
        also_applies="ganlm",
    ),
    classifier=Classifier(
        model_class=GanLMForSequenceClassification,
        between=_between,
        branch_field="classifier_branch",
    ),
    memory_factor=1.5,
    check_sections=_check_sections,
    unit=_unit,
    new_fields=_new_fields,
    optional_parts=(_DISCRIMINATOR,),
    prepare=_prepare,
    add_special_ids=_add_special_ids,
    writer=_writer,
    published=_published,
)
"""The entry of `unblank.families.table`."""
