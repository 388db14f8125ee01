"""The published DeltaLM sizes, and smaller ones for CPUs and tests, as data."""

from typing import Any

from unblank.models.deltalm.configuration import DeltaLMConfig
from unblank.models.presets import preset_fields

__all__ = ["DELTALM_PRESETS", "deltalm_config"]


def _size(layers: int, width: int, heads: int) -> dict[str, Any]:
    return {
        "encoder_layers": layers,
        "decoder_layers": layers // 2,
        "hidden_size": width,
        "num_attention_heads": heads,
    }


DELTALM_PRESETS: dict[str, dict[str, Any]] = {
    "deltalm-tiny": _size(4, 192, 3) | {"vocab_size": 8192},
    "deltalm-small": _size(6, 384, 6) | {"vocab_size": 30592},
    "deltalm-base": _size(12, 768, 12),
    # The large models have no LayerNorm over the embeddings; a pre-LN one exists beside it.
    "deltalm-large": _size(24, 1024, 16) | {"layernorm_embedding": False},
    "deltalm-large-prenorm": _size(24, 1024, 16)
    | {"layernorm_embedding": False, "normalize_before": True},
}


def deltalm_config(name: str, **overrides: Any) -> DeltaLMConfig:
    """Return the configuration of a preset with some fields replaced.

    Args:
        name: a key of `DELTALM_PRESETS`; case does not matter.
        **overrides: fields of `DeltaLMConfig`.

    Raises:
        ValueError: no such preset; the nearest names are offered.
    """
    return DeltaLMConfig(**preset_fields(name, DELTALM_PRESETS, overrides))
