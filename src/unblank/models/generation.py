"""What `generate` of transformers offers and our models cannot do, refused at its start."""

from typing import Any

from transformers import GenerationConfig, GenerationMixin
from transformers.generation.configuration_utils import ALL_STATIC_CACHE_IMPLEMENTATIONS

__all__ = ["CheckedGenerationMixin"]


class CheckedGenerationMixin(GenerationMixin):
    """`generate` that raises ValueError for settings which would give wrong answers."""

    def _prepare_generation_config(
        self, generation_config: GenerationConfig | None, **kwargs: Any
    ) -> tuple[GenerationConfig, dict[str, Any]]:
        config, rest = super()._prepare_generation_config(generation_config, **kwargs)
        _refuse_unsupported(config)
        return config, rest


def _refuse_unsupported(config: GenerationConfig) -> None:
    if config.assistant_early_exit is not None:
        raise ValueError(
            "assistant_early_exit does not work with this model, whose layers are not cut: give "
            "assistant_model, or prompt_lookup_num_tokens"
        )
    if config.guidance_scale not in (None, 1):
        raise ValueError(
            "guidance_scale does not work with this model: transformers would compute the unguided "
            "logits without the blank or the source. Leave it out"
        )
    if config.prefill_chunk_size is not None:
        raise ValueError(
            "prefill_chunk_size does not work with this model, which reads its whole prompt in one "
            "step: leave it out"
        )
    if config.cache_implementation in ALL_STATIC_CACHE_IMPLEMENTATIONS:
        raise ValueError(
            f"cache_implementation={config.cache_implementation!r} is a static cache, which this "
            "model cannot use, as every query would see its empty places: leave it out"
        )
