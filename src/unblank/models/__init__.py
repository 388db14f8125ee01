"""The models, registered with transformers' Auto classes on import."""

from unblank.models.deltalm import (
    DeltaLMConfig,
    DeltaLMForConditionalGeneration,
    DeltaLMModel,
)
from unblank.models.electra import (
    ElectraInfillConfig,
    ElectraInfillForMaskedLM,
    ElectraInfillForPreTraining,
    ElectraInfillModel,
)
from unblank.models.ganlm import (
    GanLMConfig,
    GanLMForConditionalGeneration,
    GanLMForPreTraining,
    GanLMForSequenceClassification,
    GanLMModel,
)
from unblank.models.glm import (
    GlmInfillConfig,
    GlmInfillForCausalLM,
    GlmInfillForConditionalGeneration,
    GlmInfillForMaskedLM,
    GlmInfillForMultipleChoice,
    GlmInfillForSequenceClassification,
    GlmInfillModel,
)

__all__ = [
    "DeltaLMConfig",
    "DeltaLMForConditionalGeneration",
    "DeltaLMModel",
    "ElectraInfillConfig",
    "ElectraInfillForMaskedLM",
    "ElectraInfillForPreTraining",
    "ElectraInfillModel",
    "GanLMConfig",
    "GanLMForConditionalGeneration",
    "GanLMForPreTraining",
    "GanLMForSequenceClassification",
    "GanLMModel",
    "GlmInfillConfig",
    "GlmInfillForCausalLM",
    "GlmInfillForConditionalGeneration",
    "GlmInfillForMaskedLM",
    "GlmInfillForMultipleChoice",
    "GlmInfillForSequenceClassification",
    "GlmInfillModel",
]
