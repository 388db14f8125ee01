"""The published GanLM sizes, and smaller ones for CPUs and tests, as data."""

from typing import Any

from unblank.models.ganlm.configuration import GanLMConfig
from unblank.models.presets import preset_fields

__all__ = ["GANLM_PRESETS", "ganlm_config"]


def _size(layers: int, width: int, heads: int) -> dict[str, Any]:
    return {
        "encoder_layers": layers,
        "decoder_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
    }


_MULTILINGUAL: dict[str, Any] = {"mask_token_id": 250001, "first_special_id": 250001}
GANLM_PRESETS: dict[str, dict[str, Any]] = {
    "ganlm-tiny": _size(3, 192, 3)
    | {"vocab_size": 8192, "discriminator_layers": 1, "max_position_embeddings": 512},
    "ganlm-small": _size(6, 384, 6)
    | {"vocab_size": 30592, "discriminator_layers": 2, "max_position_embeddings": 512},
    "ganlm-base": _size(12, 768, 12) | _MULTILINGUAL,
    "ganlm-large": _size(24, 1024, 16) | _MULTILINGUAL,
}


def ganlm_config(name: str, **overrides: Any) -> GanLMConfig:
    """Return the configuration of a preset with some fields replaced.

    Args:
        name: a key of `GANLM_PRESETS`; case does not matter.
        **overrides: fields of `GanLMConfig`.

    Raises:
        ValueError: no such preset; the nearest names are offered.
    """
    return GanLMConfig(**preset_fields(name, GANLM_PRESETS, overrides))
