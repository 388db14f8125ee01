"""The configuration of an ELECTRA on this library's encoder."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict

from unblank.models.glm.configuration import GlmInfillConfig

__all__ = ["ElectraInfillConfig"]


@strict
class ElectraInfillConfig(GlmInfillConfig):
    """Fields as in `GlmInfillConfig`, which describe the discriminator, and one more.

    Args:
        generator_layers: layers of the generator; it has the discriminator's width and token
            embeddings.
    """

    model_type = "electra_infill"
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        *GlmInfillConfig.keys_to_ignore_at_inference,
        "losses",
        "rates",
        "corrupted_ids",
    ]

    generator_layers: int = 4
