"""The models, registered with transformers' Auto classes on import."""

from unblank.models.glm import (
    GlmInfillConfig,
    GlmInfillForConditionalGeneration,
    GlmInfillForMultipleChoice,
    GlmInfillForSequenceClassification,
    GlmInfillModel,
)

__all__ = [
    "GlmInfillConfig",
    "GlmInfillForConditionalGeneration",
    "GlmInfillForMultipleChoice",
    "GlmInfillForSequenceClassification",
    "GlmInfillModel",
]
