"""GLM: one Transformer that encodes Part A and generates Part B, blank by blank."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from unblank.models.glm.configuration import GlmInfillConfig
from unblank.models.glm.continuing import GlmInfillForCausalLM
from unblank.models.glm.heads import (
    GlmInfillForMultipleChoice,
    GlmInfillForSequenceClassification,
)
from unblank.models.glm.masked import GlmInfillForMaskedLM
from unblank.models.glm.modeling import GlmInfillForConditionalGeneration, GlmInfillModel
from unblank.models.glm.presets import GLM_PRESETS, glm_config

__all__ = [
    "GLM_PRESETS",
    "GlmInfillConfig",
    "GlmInfillForCausalLM",
    "GlmInfillForConditionalGeneration",
    "GlmInfillForMaskedLM",
    "GlmInfillForMultipleChoice",
    "GlmInfillForSequenceClassification",
    "GlmInfillModel",
    "glm_config",
]

AutoConfig.register("glm_infill", GlmInfillConfig)
AutoModel.register(GlmInfillConfig, GlmInfillModel)
AutoModelForCausalLM.register(GlmInfillConfig, GlmInfillForCausalLM)
AutoModelForMaskedLM.register(GlmInfillConfig, GlmInfillForMaskedLM)
AutoModelForSeq2SeqLM.register(GlmInfillConfig, GlmInfillForConditionalGeneration)
AutoModelForSequenceClassification.register(GlmInfillConfig, GlmInfillForSequenceClassification)
AutoModelForMultipleChoice.register(GlmInfillConfig, GlmInfillForMultipleChoice)
