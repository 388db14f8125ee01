"""The family DeltaLM: an interleaved decoder over a pretrained encoder."""

from typing import Any

from torch import Tensor

from unblank.families.decoding import FAIRSEQ_STOPPING
from unblank.families.encoder_decoder import (
    APPLIES,
    ENCODER_DECODER_LORA_TARGETS,
    VOCABULARY,
    fairseq_smoothing,
    new_encoder_decoder_fields,
    pair_example,
    seq2seq_unit,
    shape,
    shares,
    source_objective,
    translation_objective,
)
from unblank.families.family import Family
from unblank.families.rows import GROUPED
from unblank.families.settings import ModelSettings
from unblank.models.deltalm import DeltaLMForConditionalGeneration
from unblank.models.deltalm.from_encoder import deltalm_from_encoder
from unblank.models.deltalm.presets import DELTALM_PRESETS
from unblank.tokenization.special import encoder_decoder_ids

__all__ = ["DELTALM"]


def _from_encoder(
    settings: ModelSettings,
    encoder_fields: dict[str, Any],
    weights: dict[str, Tensor],
    fields: dict[str, Any],
    max_length: int,
) -> DeltaLMForConditionalGeneration:
    folder = settings.init_from_encoder
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
        if getattr(settings, name) is not None:
            raise ValueError(
                f"model.{name} cannot be set together with model.init_from_encoder, which has its "
                "own: drop one"
            )
    if encoder_fields["max_position_embeddings"] < max_length:
        raise ValueError(
            f"data.max_length {max_length} exceeds the "
            f"{encoder_fields['max_position_embeddings']} positions of the encoder in {folder}: "
            "lower it"
        )
    # Rows that only pad the encoder's table may be more than the tokens.
    size = encoder_fields.get("tokenizer_size") or weights["embed_tokens.weight"].shape[0]
    if size > fields["vocab_size"]:
        raise ValueError(
            f"the encoder in {folder} has {size} tokens, but the tokenizer has "
            f"{fields['tokenizer_size']}: give the tokenizer that belongs to it (--tokenizer.path "
            f"{folder})"
        )
    return deltalm_from_encoder(encoder_fields, weights, settings.decoder_start, **fields)


DELTALM = Family(
    name="deltalm",
    presets=DELTALM_PRESETS,
    pretraining_class=DeltaLMForConditionalGeneration,
    generating_class=DeltaLMForConditionalGeneration,
    writes="targets",
    stopping=FAIRSEQ_STOPPING,
    lora_targets=ENCODER_DECODER_LORA_TARGETS,
    special_ids=encoder_decoder_ids,
    vocabulary=VOCABULARY,
    applies=APPLIES | {"train.sampled_softmax"},
    text_objective=source_objective,
    pair_objective=translation_objective,
    objective_shares=shares,
    pair_example=pair_example,
    rows=GROUPED,
    unit=seq2seq_unit,
    smoothing=fairseq_smoothing,
    new_fields=new_encoder_decoder_fields,
    shape=shape,
    keeps_preset_positions=True,
    from_encoder=_from_encoder,
)
"""The entry of `unblank.families.table`."""
