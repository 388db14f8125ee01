"""GanLM's encoder and generator as transformers models: fine-tuning and inference.

A folder of `GanLMForPreTraining` is loaded too; its discriminator is left out.
"""

from torch import nn
from transformers import GenerationMixin

from unblank.models.encoder_decoder import (
    EncoderDecoderForConditionalGeneration,
    EncoderDecoderModel,
    EncoderDecoderPreTrainedModel,
)
from unblank.models.ganlm.configuration import GanLMConfig

__all__ = ["GanLMForConditionalGeneration", "GanLMModel", "GanLMPreTrainedModel"]


class GanLMPreTrainedModel(EncoderDecoderPreTrainedModel):
    """What every GanLM shares."""

    config: GanLMConfig


class GanLMModel(EncoderDecoderModel, GanLMPreTrainedModel):
    """The encoder and the generator's decoder, without a head."""

    config: GanLMConfig
    _keys_to_ignore_on_load_unexpected: list[str] = [r"^discriminator\."]


class GanLMForConditionalGeneration(
    EncoderDecoderForConditionalGeneration, GanLMPreTrainedModel, GenerationMixin
):
    """The generator with its tied output head: fine-tuning and inference."""

    # transformers looks for the mixin among the bases of a class, not among theirs.

    config: GanLMConfig
    _keys_to_ignore_on_load_unexpected: list[str] = [r"^discriminator\."]

    def __init__(self, config: GanLMConfig) -> None:
        super().__init__(config)
        self.model = GanLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()
