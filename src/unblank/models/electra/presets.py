"""Sizes of ELECTRA: those of GLM, with a generator of a third of the layers."""

from typing import Any

from unblank.models.electra.configuration import ElectraInfillConfig
from unblank.models.glm.presets import GLM_PRESETS
from unblank.models.presets import preset_fields

__all__ = ["ELECTRA_PRESETS", "electra_config"]

ELECTRA_PRESETS: dict[str, dict[str, Any]] = {
    f"electra-{size}": {
        **GLM_PRESETS[size],
        "generator_layers": max(1, GLM_PRESETS[size]["num_hidden_layers"] // 3),
    }
    for size in ("tiny", "small", "base", "large")
}


def electra_config(name: str, **overrides: Any) -> ElectraInfillConfig:
    """Return the configuration of a preset with some fields replaced.

    Args:
        name: a key of `ELECTRA_PRESETS`; case does not matter.
        **overrides: fields of `ElectraInfillConfig`.

    Raises:
        ValueError: no such preset; the nearest names are offered.
    """
    return ElectraInfillConfig(**preset_fields(name, ELECTRA_PRESETS, overrides))
