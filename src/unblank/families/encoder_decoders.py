"""The encoder-decoder that a run starts from: a preset, a pretrained encoder, a folder."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedTokenizerFast

from unblank.conversion.encoder import count_embeddings, read_encoder
from unblank.families.loading import (
    require_whole_weights,
    without_loading_report,
    without_progress_bar,
)
from unblank.families.settings import GanLMSettings, ModelSettings
from unblank.families.table import ModelFamily
from unblank.models.deltalm import DeltaLMForConditionalGeneration
from unblank.models.deltalm.from_encoder import deltalm_from_encoder
from unblank.models.deltalm.presets import PRESETS as DELTALM_PRESETS
from unblank.models.deltalm.presets import config_from_preset as deltalm_config
from unblank.models.encoder_decoder import (
    EncoderDecoderConfig,
    EncoderDecoderForConditionalGeneration,
)
from unblank.models.ganlm import GanLMForPreTraining
from unblank.models.ganlm.presets import PRESETS as GANLM_PRESETS
from unblank.models.ganlm.presets import config_from_preset as ganlm_config
from unblank.tokenization.special import SpecialIds, encoder_decoder_ids
from unblank.tokenization.vocabulary import padded_vocab_size

__all__ = ["build_encoder_decoder", "encoder_decoder_config"]

_CLASSES: dict[ModelFamily, type[EncoderDecoderForConditionalGeneration]] = {
    "deltalm": DeltaLMForConditionalGeneration,
    "ganlm": GanLMForPreTraining,
}


def build_encoder_decoder(
    family: ModelFamily,
    settings: ModelSettings,
    ganlm: GanLMSettings,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    changes: dict[str, Any],
    seed: int,
    folder: Path | None,
) -> EncoderDecoderForConditionalGeneration:
    """Return the model, float32, on the CPU.

    Args:
        family: deltalm or ganlm.
        settings: the `model` section.
        ganlm: the `ganlm` section.
        tokenizer: its ids and its size are written into a new model's configuration.
        max_length: positions that either side of the model has at least.
        changes: fields of the configuration to change, by name.
        seed: seed of a new model's weights.
        folder: model to continue instead of making one.

    Raises:
        ValueError: if encoder, preset and settings do not fit.
        FileNotFoundError: if there is no encoder in `init_from_encoder`.
    """
    if folder is not None:
        return _without_idle_parts(_load(family, folder, settings, ganlm, changes), ganlm)
    torch.manual_seed(seed)
    ids = encoder_decoder_ids(tokenizer)
    fields = {**changes, **_token_fields(ids, len(tokenizer))}
    if settings.init_from_encoder is not None:
        return _from_encoder(settings, fields, max_length)
    if family == "ganlm":
        fields |= _discriminator(ganlm, ids, len(tokenizer))
    config = encoder_decoder_config(family, settings, **fields)
    config.max_position_embeddings = max(config.max_position_embeddings, max_length)
    config._attn_implementation = settings.attention_implementation
    return _without_idle_parts(_CLASSES[family](config), ganlm)


def _load(
    family: ModelFamily,
    folder: Path,
    settings: ModelSettings,
    ganlm: GanLMSettings,
    changes: dict[str, Any],
) -> EncoderDecoderForConditionalGeneration:
    """Return the model of a folder; what is not in it is never drawn at random in silence."""
    require_whole_weights(folder)
    with without_progress_bar(), without_loading_report():
        loaded, report = _CLASSES[family].from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation=settings.attention_implementation,
            output_loading_info=True,
            **changes,
        )
    missing = sorted(report["missing_keys"])
    needed = [name for name in missing if not name.startswith("discriminator.")]
    if needed:
        raise ValueError(f"{folder} lacks weights: {', '.join(needed[:5])} ({len(needed)} in all)")
    if missing and (ganlm.discriminator_weight > 0 or ganlm.denoising_weight > 0):
        raise ValueError(
            f"the GanLM in {folder} has no discriminator: give one that has, or train the "
            "generator alone with --ganlm.discriminator_weight 0 --ganlm.denoising_weight 0 "
            "(in fine-tuning also --ganlm.branch generator)"
        )
    model: EncoderDecoderForConditionalGeneration = loaded
    return model


def encoder_decoder_config(
    family: ModelFamily, settings: ModelSettings, **fields: Any
) -> EncoderDecoderConfig:
    """Return the configuration of `settings.preset` with the shape that `settings` changes.

    Args:
        family: deltalm or ganlm.
        settings: the `model` section.
        **fields: further fields of the configuration.

    Raises:
        ValueError: if the shape is impossible.
    """
    make = deltalm_config if family == "deltalm" else ganlm_config
    try:
        return make(settings.preset, **_shape(settings, family), **fields)
    except StrictDataclassError as error:
        raise ValueError(f"the model section: {error.__cause__ or error}") from error


def _from_encoder(
    settings: ModelSettings, fields: dict[str, Any], max_length: int
) -> EncoderDecoderForConditionalGeneration:
    folder = settings.init_from_encoder
    assert folder is not None
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
        if getattr(settings, name) is not None:
            raise ValueError(
                f"model.{name} is set together with model.init_from_encoder, which has its own: "
                "drop one"
            )
    encoder_fields, weights = read_encoder(folder)
    if encoder_fields["max_position_embeddings"] < max_length:
        raise ValueError(
            f"data.max_length {max_length} is more than the "
            f"{encoder_fields['max_position_embeddings']} positions of the encoder in {folder}"
        )
    size = count_embeddings(encoder_fields, weights)
    if size > fields["vocab_size"]:  # rows that only pad the encoder's table may be more
        raise ValueError(
            f"the encoder in {folder} has {size} tokens, the tokenizer {fields['tokenizer_size']}: "
            f"give the tokenizer that belongs to it (--tokenizer.path {folder})"
        )
    model = deltalm_from_encoder(encoder_fields, weights, settings.decoder_start, **fields)
    model.set_attn_implementation(settings.attention_implementation)
    return model


def _shape(settings: ModelSettings, family: ModelFamily) -> dict[str, int]:
    """Return the preset's fields that the settings change; the decoder keeps its ratio of depth."""
    given = {"hidden_size": settings.hidden_size} | {
        "num_attention_heads": settings.num_attention_heads
    }
    shape = {name: value for name, value in given.items() if value is not None}
    layers = settings.num_hidden_layers
    if layers is None:
        return shape
    preset = (DELTALM_PRESETS if family == "deltalm" else GANLM_PRESETS)[settings.preset.lower()]
    ratio = preset["encoder_layers"] // preset["decoder_layers"]
    if layers % ratio:
        raise ValueError(
            f"model.num_hidden_layers {layers}: one layer of an interleaved decoder stands for "
            f"{ratio} of the encoder; give a multiple of {ratio}"
        )
    return {**shape, "encoder_layers": layers, "decoder_layers": layers // ratio}


def _token_fields(ids: SpecialIds, num_tokens: int) -> dict[str, Any]:
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


def _discriminator(ganlm: GanLMSettings, ids: SpecialIds, num_tokens: int) -> dict[str, Any]:
    """Return GanLM's own fields; masks, sentinels, padding and unused rows are never content."""
    special = {*ids.sentinels, *ids.blanks, ids.dblock, ids.pad, ids.sop} - {ids.eos}
    fields: dict[str, Any] = {
        "sentinel_token_ids": sorted(special),
        "first_special_id": num_tokens,
        "share_generator_discriminator": ganlm.share_discriminator,
    }
    if ganlm.discriminator_layers is not None:
        fields["discriminator_layers"] = ganlm.discriminator_layers
    return fields


def _without_idle_parts(
    model: EncoderDecoderForConditionalGeneration, ganlm: GanLMSettings
) -> EncoderDecoderForConditionalGeneration:
    """Freeze a discriminator that no loss uses: replicas wait for gradients of all others."""
    if isinstance(model, GanLMForPreTraining):
        is_used = ganlm.discriminator_weight > 0 or ganlm.denoising_weight > 0
        model.discriminator.requires_grad_(is_used)
    return model
