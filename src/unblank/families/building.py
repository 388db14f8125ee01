"""The model that a run starts from: a preset, an existing folder, or a checkpoint."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from unblank.compatibility import enable_activation_checkpointing
from unblank.families.encoder_decoders import build_encoder_decoder, encoder_decoder_config
from unblank.families.loading import require_whole_weights, without_progress_bar
from unblank.families.settings import ModelSettings
from unblank.families.table import ENCODER_DECODERS, ModelFamily, family_of
from unblank.models import (
    ElectraInfillForPreTraining,
    GlmInfillConfig,
    GlmInfillForConditionalGeneration,
)
from unblank.models.electra.presets import config_from_preset as electra_config
from unblank.models.glm.presets import config_from_preset
from unblank.pretraining.settings import PretrainSettings
from unblank.tokenization.special import SPECIAL_TOKENS, special_ids
from unblank.tokenization.vocabulary import padded_vocab_size

__all__ = ["build_model", "count_parameters", "estimate_memory", "require_possible"]

_SHAPE = ("hidden_size", "num_hidden_layers", "num_attention_heads")

_CLASSES: dict[ModelFamily, type[PreTrainedModel]] = {
    "glm": GlmInfillForConditionalGeneration,
    "electra": ElectraInfillForPreTraining,
}

_LIBRARIES = 0.6 * 2**30
"""Bytes that Python, torch and transformers take by themselves (measured on Linux, CPU)."""


def build_model(
    config: PretrainSettings, tokenizer: PreTrainedTokenizerFast, checkpoint: Path | None = None
) -> PreTrainedModel:
    """Return the model, float32, on the CPU.

    Args:
        config: the run; its `model` section, positions and seed.
        tokenizer: its ids and its size are written into a new model's configuration.
        checkpoint: folder whose weights are continued; then nothing is initialised.

    Raises:
        ValueError: if an existing model has another vocabulary, too few positions or damaged
            weights, or the preset is unknown.
        FileNotFoundError: if `init_from` is not a model folder.
    """
    settings = config.model
    folder = checkpoint or settings.init_from
    family = family_of(settings, folder)
    model = _model(config, family, tokenizer, folder)
    if folder is not None:
        _require_fit(model, folder, tokenizer, config.data.max_length)
    if settings.activation_checkpointing:
        enable_activation_checkpointing(model)
    return model


def _model(
    config: PretrainSettings,
    family: ModelFamily,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path | None,
) -> PreTrainedModel:
    settings, max_length = config.model, config.data.max_length
    if family in ENCODER_DECODERS:
        return build_encoder_decoder(
            family,
            settings,
            config.ganlm,
            tokenizer,
            max_length=max_length,
            changes=_dropouts(settings),
            seed=config.train.seed,
            folder=folder,
        )
    if folder is not None:
        return _load_model(_CLASSES[family], folder, settings)
    glm_config = _preset_config(
        settings,
        family,
        **_vocabulary(tokenizer),
        max_position_embeddings=max_length,
        block_position_encoding=config.objective.block_positions,
    )
    glm_config._attn_implementation = settings.attention_implementation
    torch.manual_seed(config.train.seed)
    return _CLASSES[family](glm_config)


def require_possible(settings: ModelSettings, family: ModelFamily) -> None:
    """Refuse a `model` section that a run cannot start from, before text is read.

    Args:
        settings: the `model` section; a checkpoint to continue from needs no such check.
        family: of the model.

    Raises:
        ValueError: if shape, kernel and dropout are impossible.
    """
    if settings.init_from is not None:
        _require_no_shape(settings)
        config: Any = AutoConfig.from_pretrained(settings.init_from, **_dropouts(settings))
    elif settings.init_from_encoder is not None:
        return  # its shape and dropout are read with its weights
    elif family in ENCODER_DECODERS:
        config = encoder_decoder_config(family, settings, **_dropouts(settings))
    else:
        config = _preset_config(settings, family)
    dropout = config.attention_probs_dropout_prob
    if settings.attention_implementation == "flex_attention" and dropout:
        raise ValueError(
            f"flex_attention has no attention dropout, which is {dropout} here: set "
            "--model.attention_dropout 0, or --model.attention_implementation sdpa"
        )


def _dropouts(settings: ModelSettings) -> dict[str, float]:
    dropouts = {
        "hidden_dropout_prob": settings.hidden_dropout,
        "attention_probs_dropout_prob": settings.attention_dropout,
    }
    return {name: value for name, value in dropouts.items() if value is not None}


def _preset_config(settings: ModelSettings, family: ModelFamily, **changes: Any) -> GlmInfillConfig:
    shape = {name: getattr(settings, name) for name in _SHAPE}
    given = {name: value for name, value in shape.items() if value is not None}
    try:
        make = electra_config if family == "electra" else config_from_preset
        return make(settings.preset, **given, **_dropouts(settings), **changes)
    except StrictDataclassError as error:
        raise ValueError(f"the model section: {error.__cause__ or error}") from error


def count_parameters(model: torch.nn.Module) -> int:
    """Return the number of distinct trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def estimate_memory(
    model: PreTrainedModel,
    *,
    positions: int,
    bytes_per_activation: int,
    activation_checkpointing: bool,
) -> float:
    """Return a rough estimate of the peak memory of a training step, in bytes.

    Weights, gradients and two moments in float32; about 34 numbers of the layer's width kept per
    position and layer (inputs of each product, LayerNorm, GELU and dropout), or one with activation
    checkpointing. A position of an encoder-decoder passes one side only, but GanLM's targets pass
    three times.

    Args:
        model: the model.
        positions: positions of one micro-batch.
        bytes_per_activation: 2 in bf16, 4 in fp32.
        activation_checkpointing: whether layers keep their inputs only.
    """
    config = model.config
    kept = 1 if activation_checkpointing else 34
    layers = config.num_hidden_layers * (1.5 if config.model_type == "ganlm" else 1.0)
    activations: float = positions * layers * config.hidden_size * kept
    return _LIBRARIES + 16.0 * count_parameters(model) + activations * float(bytes_per_activation)


def _vocabulary(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    ids = special_ids(tokenizer)
    size = len(tokenizer)
    names = {f"{role}_token_id": getattr(ids, role) for role in SPECIAL_TOKENS}
    return {"vocab_size": padded_vocab_size(size), "tokenizer_size": size, **names}


def _load_model(
    kind: type[PreTrainedModel], folder: Path, settings: ModelSettings
) -> PreTrainedModel:
    require_whole_weights(folder)
    with without_progress_bar():
        model: PreTrainedModel = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation=settings.attention_implementation,
            **_dropouts(settings),
        )
    return model


def _require_no_shape(settings: ModelSettings) -> None:
    for name in _SHAPE:
        if getattr(settings, name) is not None:
            raise ValueError(
                f"model.{name} is set together with model.init_from, whose shape is fixed: drop one"
            )


def _require_fit(
    model: PreTrainedModel,
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
) -> None:
    rows, size = model.config.vocab_size, len(tokenizer)
    expected = model.config.tokenizer_size or rows
    if size > rows or (model.config.tokenizer_size is not None and size != expected):
        raise ValueError(
            f"the tokenizer has {size} tokens, the model in {folder} was made for {expected} "
            f"({rows} rows): give the tokenizer that belongs to it (--tokenizer.path {folder})"
        )
    if max_length > model.config.max_position_embeddings:
        raise ValueError(
            f"data.max_length {max_length} is more than the {model.config.max_position_embeddings} "
            f"positions of the model in {folder}: lower data.max_length"
        )
