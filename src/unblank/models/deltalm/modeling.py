"""DeltaLM as transformers models: a pretrained encoder with an interleaved decoder over it."""

from torch import nn
from transformers import GenerationMixin

from unblank.models.deltalm.configuration import DeltaLMConfig
from unblank.models.encoder_decoder import (
    EncoderDecoderForConditionalGeneration,
    EncoderDecoderModel,
    EncoderDecoderPreTrainedModel,
)

__all__ = ["DeltaLMForConditionalGeneration", "DeltaLMModel"]


class DeltaLMPreTrainedModel(EncoderDecoderPreTrainedModel):
    """What every DeltaLM shares."""

    config: DeltaLMConfig


class DeltaLMModel(EncoderDecoderModel, DeltaLMPreTrainedModel):
    """DeltaLM without a head."""

    config: DeltaLMConfig


class DeltaLMForConditionalGeneration(
    EncoderDecoderForConditionalGeneration, DeltaLMPreTrainedModel, GenerationMixin
):
    """DeltaLM with its tied output head: trains on pairs, fills spans, generates."""

    # transformers looks for the mixin among the bases of a class, not among theirs.

    config: DeltaLMConfig

    def __init__(self, config: DeltaLMConfig) -> None:
        super().__init__(config)
        self.model = DeltaLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()
