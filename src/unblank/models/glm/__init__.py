"""GLM: one Transformer that encodes Part A and generates Part B, blank by blank."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from unblank.models.glm.configuration import GlmInfillConfig
from unblank.models.glm.heads import (
    GlmInfillForMultipleChoice,
    GlmInfillForSequenceClassification,
)
from unblank.models.glm.modeling import GlmInfillForConditionalGeneration, GlmInfillModel
from unblank.models.glm.presets import GLM_PRESETS, glm_config

__all__ = [
    "GLM_PRESETS",
    "GlmInfillConfig",
    "GlmInfillForConditionalGeneration",
    "GlmInfillForMultipleChoice",
    "GlmInfillForSequenceClassification",
    "GlmInfillModel",
    "glm_config",
]

AutoConfig.register("glm_infill", GlmInfillConfig)
AutoModel.register(GlmInfillConfig, GlmInfillModel)
AutoModelForSeq2SeqLM.register(GlmInfillConfig, GlmInfillForConditionalGeneration)
AutoModelForSequenceClassification.register(GlmInfillConfig, GlmInfillForSequenceClassification)
AutoModelForMultipleChoice.register(GlmInfillConfig, GlmInfillForMultipleChoice)
