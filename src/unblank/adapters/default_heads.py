"""Makes PEFT train the new layers of our classifiers in full by default; set when imported.

For a classifier PEFT trains and saves layers called `classifier` or `score`. It has a table of its
classes by the type of a task; the class for `SEQ_CLS` in it also knows the names of our heads.
"""

from typing import Any

from peft import peft_model
from peft.mapping_func import MODEL_TYPE_TO_PEFT_MODEL_MAPPING

from unblank.families.table import family_of_model_type
from unblank.models.classifier_head import head_layers

__all__: list[str] = []


# AutoPeftModelForSequenceClassification finds it by its name.
class PeftModelForSequenceClassification(peft_model.PeftModelForSequenceClassification):  # type: ignore[misc]
    """PEFT's own class for classifiers, which also trains and saves the heads of ours."""

    def __init__(
        self, model: Any, peft_config: Any, adapter_name: str = "default", **settings: Any
    ) -> None:
        _add_heads(peft_config, model)
        super().__init__(model, peft_config, adapter_name, **settings)

    def add_adapter(self, adapter_name: str, peft_config: Any, **settings: Any) -> None:
        """Add an adapter; arguments as for PEFT's method."""
        if self.peft_config:  # the constructor has seen to the first one
            _add_heads(peft_config, self.get_base_model())
        super().add_adapter(adapter_name, peft_config, **settings)


def _add_heads(peft_config: Any, model: Any) -> None:
    is_ours = family_of_model_type(getattr(model.config, "model_type", None)) is not None
    if is_ours and hasattr(peft_config, "modules_to_save"):
        given = peft_config.modules_to_save or []
        peft_config.modules_to_save = list(dict.fromkeys([*given, *head_layers(model)]))


MODEL_TYPE_TO_PEFT_MODEL_MAPPING["SEQ_CLS"] = PeftModelForSequenceClassification
