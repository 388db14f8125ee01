"""The layers that PEFT's LoRA adapts in our models by default; set when imported.

PEFT has a table by the type of a model. Ours get the layers of attention, like its own families.
"""

from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

from unblank.families.table import FAMILIES

__all__: list[str] = []

TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.update(
    {
        family.model_type: list(family.lora_targets["attention"])
        for family in FAMILIES.values()
        if family.lora_targets
    }
)
