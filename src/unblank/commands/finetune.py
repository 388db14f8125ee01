"""`unblank finetune`: fine-tunes a model on your own examples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unblank.commands.parsing import parse_recipe
from unblank.finetuning.settings import FinetuneSettings

if TYPE_CHECKING:
    from unblank.process import MemoryArrangement

__all__ = ["parse", "run"]

_DESCRIPTION = """Fine-tune a model on your own examples.

unblank finetune [recipe.yaml] --task seq2seq --model.init_from FOLDER --data.train FILE
  --data.validation FILE --data.source FIELD --data.target FIELD [--section.field value ...]

A flag overrides the recipe's field of the same name; --print-config prints the resulting recipe and
stops. Several processes: torchrun --nproc-per-node N -m unblank finetune ..."""


def parse(arguments: Sequence[str]) -> FinetuneSettings:
    """Return the run that the command line describes.

    Args:
        arguments: words after the command's name; see `parse_recipe`.
    """
    advice = "recipes/finetune of the repository has some"
    return parse_recipe(FinetuneSettings, "unblank finetune", _DESCRIPTION, arguments, advice)


def run(settings: FinetuneSettings, *, memory: "MemoryArrangement") -> None:
    """Fine-tune, once or for every combination of a grid; errors as for `run_finetune_command`."""
    from unblank.finetuning.sweeps.grid import run_finetune_command

    run_finetune_command(settings, memory=memory)
