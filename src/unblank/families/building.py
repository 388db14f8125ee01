"""The first model of a run, of any family: new from a preset or an encoder, or loaded."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from unblank.families.family import Family
from unblank.families.loading import refuse_left_over, require_whole_weights
from unblank.families.settings import FamilySections, ModelSettings
from unblank.models.finite import require_finite
from unblank.models.presets import preset_fields
from unblank.tokenization.vocabulary import count_ids
from unblank.untrusted.opening import config_in, model_in

__all__ = [
    "load_model",
    "model_from_encoder",
    "new_model",
    "require_fit",
    "require_possible_model",
]

_SHAPE = ("hidden_size", "num_hidden_layers", "num_attention_heads")


def _model_config(family: Family, settings: ModelSettings, **fields: Any) -> PreTrainedConfig:
    """Return the configuration of the preset with what the settings change.

    Raises:
        ValueError: if the shape is impossible.
    """
    preset = preset_fields(settings.preset, family.presets, {})
    changes = {**family.shape(preset, settings), **settings.dropouts, **fields}
    config_class: Any = family.pretraining_class.config_class
    try:
        config: PreTrainedConfig = config_class(**{**preset, **changes})
    except StrictDataclassError as error:
        raise ValueError(f"the model section: {error.__cause__ or error}") from error
    return config


def new_model(
    family: Family,
    settings: ModelSettings,
    tokenizer: PreTrainedTokenizerFast,
    sections: FamilySections,
    *,
    max_length: int,
    seed: int,
) -> PreTrainedModel:
    """Return a model of a preset with new weights, float32, on the CPU.

    Args:
        family: of the preset.
        settings: the `model` section.
        tokenizer: its ids and its size are written into the configuration.
        sections: the sections of the family.
        max_length: positions that are needed.
        seed: of the weights.

    Raises:
        ValueError: if the shape is impossible.
    """
    config: Any = _model_config(family, settings, **family.new_fields(tokenizer, sections))
    own = config.max_position_embeddings if family.keeps_preset_positions else 0
    config.max_position_embeddings = max(own, max_length)
    config._attn_implementation = settings.attention_implementation
    torch.manual_seed(seed)
    model = family.pretraining_class(config)
    family.prepare(model, sections, ())
    return model


def model_from_encoder(
    family: Family,
    settings: ModelSettings,
    tokenizer: PreTrainedTokenizerFast,
    sections: FamilySections,
    encoder: tuple[dict[str, Any], dict[str, Tensor]],
    *,
    max_length: int,
    seed: int,
) -> PreTrainedModel:
    """Return a model made of a pretrained encoder, float32, on the CPU.

    Args:
        family: one that has such a start.
        settings: the `model` section.
        tokenizer: as for `new_model`.
        sections: as for `new_model`.
        encoder: fields of its configuration, and its weights.
        max_length: positions that are needed.
        seed: of the weights that do not come from the encoder.

    Raises:
        ValueError: if encoder, tokenizer and settings do not fit.
    """
    assert family.from_encoder is not None
    torch.manual_seed(seed)
    fields = {**settings.dropouts, **family.new_fields(tokenizer, sections)}
    model = family.from_encoder(settings, *encoder, fields, max_length)
    model.set_attn_implementation(settings.attention_implementation)
    return model


def load_model(
    family: Family, folder: Path, settings: ModelSettings, sections: FamilySections
) -> PreTrainedModel:
    """Return the model of a folder, float32, on the CPU.

    Args:
        family: of the model.
        folder: with its weights.
        settings: the `model` section; its dropout replaces the folder's where it is given.
        sections: the sections of the family.

    On the meta device, where there are no values, only the configuration is read.

    Raises:
        ValueError: if weights are damaged or missing: none is silently drawn at random.
        FileNotFoundError: if there are none.
    """
    require_whole_weights(folder)
    if torch.get_default_device().type == "meta":
        config = config_in(folder, **settings.dropouts)
        config._attn_implementation = settings.attention_implementation
        described = family.pretraining_class(config)
        family.prepare(described, sections, ())
        return described
    loaded, report = model_in(
        folder,
        family.pretraining_class,
        settings.dropouts,
        dtype=torch.float32,
        attn_implementation=settings.attention_implementation,
    )
    model: PreTrainedModel = loaded
    missing = sorted(report["missing_keys"])
    needed = [name for name in missing if not name.startswith(family.optional_parts)]
    if needed:
        raise ValueError(f"{folder} lacks weights: {', '.join(needed[:5])} ({len(needed)} in all)")
    refuse_left_over(report, folder)
    require_finite(model.named_parameters(), folder)
    family.prepare(model, sections, missing)
    return model


def require_possible_model(family: Family, settings: ModelSettings) -> None:
    """Refuse a `model` section that a run cannot start from, before text is read.

    Args:
        family: of the model.
        settings: the `model` section; a checkpoint to continue from needs no such check.

    Raises:
        ValueError: if shape, kernel and dropout are impossible.
    """
    if settings.init_from is not None:
        _require_no_shape(settings)
        config: Any = config_in(settings.init_from, **settings.dropouts)
    elif settings.init_from_encoder is not None:
        return  # its shape and dropout are read with its weights
    else:
        config = _model_config(family, settings)
    dropout = config.attention_probs_dropout_prob
    if settings.attention_implementation == "flex_attention" and dropout:
        raise ValueError(
            f"flex_attention does not support attention dropout, which is {dropout}: set "
            "--model.attention-dropout 0, or --model.attention-implementation sdpa"
        )


def require_fit(
    model: PreTrainedModel, folder: Path, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> None:
    """Raise ValueError if a loaded model has another vocabulary, or too few positions."""
    rows, size, num_ids = model.config.vocab_size, len(tokenizer), count_ids(tokenizer)
    expected = model.config.tokenizer_size or rows
    if num_ids > rows or (model.config.tokenizer_size is not None and size != expected):
        raise ValueError(
            f"the tokenizer has {size} tokens with ids up to {num_ids - 1}, but the model in "
            f"{folder} was made for {expected} ({rows} rows): give the tokenizer that belongs to "
            f"it (--tokenizer.path {folder})"
        )
    if max_length > model.config.max_position_embeddings:
        raise ValueError(
            f"data.max_length {max_length} exceeds the {model.config.max_position_embeddings} "
            f"positions of the model in {folder}: lower data.max_length"
        )


def _require_no_shape(settings: ModelSettings) -> None:
    for name in _SHAPE:
        if getattr(settings, name) is not None:
            raise ValueError(
                f"model.{name} cannot be set together with model.init_from, whose shape is fixed: "
                "drop one"
            )
