"""From the words after `unblank finetune` to a `FinetuneSettings`: a recipe, then flags over it."""

from collections.abc import Sequence

from unblank.commands.parsing import parse_settings
from unblank.finetuning.settings import FinetuneSettings

__all__ = ["parse_finetune_config"]

_DESCRIPTION = """Fine-tune a model on your own examples.

unblank finetune [recipe.yaml] --task seq2seq --model.init_from FOLDER --data.train FILE
  --data.validation FILE --data.source FIELD --data.target FIELD [--section.field value ...]

A flag overrides the recipe's field of the same name; --print-config prints the resulting recipe and
stops. Several processes: torchrun --nproc-per-node N -m unblank finetune ..."""


def parse_finetune_config(arguments: Sequence[str]) -> FinetuneSettings:
    """Return the run that the command line describes.

    Args:
        arguments: words after the command's name; see `parse_settings`.
    """
    advice = "recipes/finetune of the repository has some"
    return parse_settings(FinetuneSettings, "unblank finetune", _DESCRIPTION, arguments, advice)
