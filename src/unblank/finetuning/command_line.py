"""From the words after `unblank finetune` to a `FinetuneConfig`: a recipe, then flags over it."""

from collections.abc import Sequence

from unblank.finetuning.config import FinetuneConfig
from unblank.training.command_line import parse_settings

__all__ = ["parse_finetune_config"]

_DESCRIPTION = """Fine-tune a model on your own examples.

unblank finetune [recipe.yaml] --task seq2seq --model.init_from FOLDER --data.train FILE
  --data.validation FILE --data.source FIELD --data.target FIELD [--section.field value ...]

A flag overrides the recipe's field of the same name; --print-config prints the resulting recipe and
stops. Several processes: torchrun --nproc-per-node N -m unblank finetune ..."""


def parse_finetune_config(arguments: Sequence[str]) -> FinetuneConfig:
    """Return the run that the command line describes.

    Args:
        arguments: words after the command's name; see `parse_settings`.
    """
    advice = "recipes/finetune of the repository has some"
    return parse_settings(FinetuneConfig, "unblank finetune", _DESCRIPTION, arguments, advice)
