"""The name by which lm-eval finds our models, `--model unblank`; given on import.

lm-eval imports the model itself only when it is asked for.
"""

from lm_eval.api.registry import model_registry

__all__: list[str] = []

model_registry.register("unblank", target="unblank.evaluation.lm_harness:FolderLM")
