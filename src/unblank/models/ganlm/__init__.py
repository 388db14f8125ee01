"""GanLM: an encoder-decoder pretrained with a discriminator that judges its own samples."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from unblank.models.ganlm.classification import GanLMForSequenceClassification
from unblank.models.ganlm.configuration import GanLMConfig
from unblank.models.ganlm.modeling import GanLMForConditionalGeneration, GanLMModel
from unblank.models.ganlm.presets import GANLM_PRESETS, ganlm_config
from unblank.models.ganlm.pretraining import GanLMForPreTraining, GanLMPreTrainingOutput

__all__ = [
    "GANLM_PRESETS",
    "GanLMConfig",
    "GanLMForConditionalGeneration",
    "GanLMForPreTraining",
    "GanLMForSequenceClassification",
    "GanLMModel",
    "GanLMPreTrainingOutput",
    "ganlm_config",
]

AutoConfig.register("ganlm", GanLMConfig)
AutoModel.register(GanLMConfig, GanLMModel)
AutoModelForPreTraining.register(GanLMConfig, GanLMForPreTraining)
AutoModelForSeq2SeqLM.register(GanLMConfig, GanLMForConditionalGeneration)
AutoModelForSequenceClassification.register(GanLMConfig, GanLMForSequenceClassification)
