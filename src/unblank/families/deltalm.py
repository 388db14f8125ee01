"""The family DeltaLM: an interleaved decoder over a pretrained encoder."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from unblank.families.encoder_decoder import encoder_decoder_family
from unblank.families.settings import ModelSettings
from unblank.models.deltalm import DeltaLMForConditionalGeneration
from unblank.models.deltalm.from_encoder import deltalm_from_encoder
from unblank.models.deltalm.presets import DELTALM_PRESETS

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
            f"the run needs {max_length} positions, but the encoder in {folder} has "
            f"{encoder_fields['max_position_embeddings']}: lower data.max_length (in fine-tuning "
            "seq2seq.max_source_length and seq2seq.max_target_length)"
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


DELTALM = replace(
    encoder_decoder_family(
        name="deltalm",
        presets=DELTALM_PRESETS,
        pretraining_class=DeltaLMForConditionalGeneration,
        generating_class=DeltaLMForConditionalGeneration,
        also_applies="train.sampled_softmax",
    ),
    from_encoder=_from_encoder,
)
"""The entry of `unblank.families.table`."""
