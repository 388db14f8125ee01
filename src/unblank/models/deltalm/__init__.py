"""DeltaLM: an encoder-decoder whose interleaved decoder starts from a pretrained encoder."""

from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

from unblank.models.deltalm.configuration import DeltaLMConfig
from unblank.models.deltalm.modeling import DeltaLMForConditionalGeneration, DeltaLMModel
from unblank.models.deltalm.presets import PRESETS, config_from_preset

__all__ = [
    "PRESETS",
    "DeltaLMConfig",
    "DeltaLMForConditionalGeneration",
    "DeltaLMModel",
    "config_from_preset",
]

AutoConfig.register("deltalm", DeltaLMConfig)
AutoModel.register(DeltaLMConfig, DeltaLMModel)
AutoModelForSeq2SeqLM.register(DeltaLMConfig, DeltaLMForConditionalGeneration)
