"""DeltaLM: an encoder-decoder whose interleaved decoder starts from a pretrained encoder."""

from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

from unblank.models.deltalm.configuration import DeltaLMConfig
from unblank.models.deltalm.modeling import DeltaLMForConditionalGeneration, DeltaLMModel
from unblank.models.deltalm.presets import DELTALM_PRESETS, deltalm_config

__all__ = [
    "DELTALM_PRESETS",
    "DeltaLMConfig",
    "DeltaLMForConditionalGeneration",
    "DeltaLMModel",
    "deltalm_config",
]

AutoConfig.register("deltalm", DeltaLMConfig)
AutoModel.register(DeltaLMConfig, DeltaLMModel)
AutoModelForSeq2SeqLM.register(DeltaLMConfig, DeltaLMForConditionalGeneration)
