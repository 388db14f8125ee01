"""Sizes of ELECTRA: those of GLM, with a generator of a third of the layers."""

from typing import Any

from unblank.models.electra.configuration import ElectraInfillConfig
from unblank.models.glm.presets import PRESETS as GLM_PRESETS
from unblank.models.presets import preset_fields

__all__ = ["PRESETS", "config_from_preset"]

PRESETS: dict[str, dict[str, Any]] = {
    f"electra-{size}": {
        **GLM_PRESETS[size],
        "generator_layers": max(1, GLM_PRESETS[size]["num_hidden_layers"] // 3),
    }
    for size in ("tiny", "small", "base", "large")
}


def config_from_preset(name: str, **overrides: Any) -> ElectraInfillConfig:
    """Return the configuration of a preset with some fields replaced.

    Args:
        name: a key of `PRESETS`; case does not matter.
        **overrides: fields of `ElectraInfillConfig`.

    Raises:
        ValueError: no such preset; the nearest names are offered.
    """
    return ElectraInfillConfig(**preset_fields(name, PRESETS, overrides))
