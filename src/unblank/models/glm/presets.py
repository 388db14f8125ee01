"""The published sizes, and smaller ones for CPUs and tests, as data (GLM paper, Table 6)."""

from typing import Any

from unblank.models.glm.configuration import GlmInfillConfig
from unblank.models.presets import preset_fields

__all__ = ["GLM_PRESETS", "glm_config"]


def _size(layers: int, width: int, heads: int, vocabulary: int, positions: int) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
    }


GLM_PRESETS: dict[str, dict[str, Any]] = {
    # So narrow a model leaves its plateau sooner from larger weights (docs/log.md).
    "tiny": {**_size(4, 192, 3, 8192, 512), "initializer_range": 0.05},
    "small": _size(6, 384, 6, 30592, 512),
    "base": _size(12, 768, 12, 30592, 512),
    "large": _size(24, 1024, 16, 30592, 512),
    "410m": _size(30, 1024, 16, 30592, 512),
    "515m": _size(30, 1152, 18, 30592, 512),
    "roberta": _size(24, 1024, 16, 50304, 512),
    "chinese-large": _size(24, 1024, 16, 50048, 1024),
    "2b": _size(36, 2048, 32, 50304, 1024),
    "10b": _size(48, 4096, 64, 50304, 1024),
    "multiglm-1b": _size(24, 1536, 16, 250112, 1024),
}


def glm_config(name: str, **overrides: Any) -> GlmInfillConfig:
    """Return the configuration of a preset with some fields replaced.

    Args:
        name: a key of `GLM_PRESETS`; case does not matter.
        **overrides: fields of `GlmInfillConfig`.

    Raises:
        ValueError: no such preset; the nearest names are offered.
    """
    return GlmInfillConfig(**preset_fields(name, GLM_PRESETS, overrides))
