"""`unblank pretrain`: pretrains a model on your text, or continues from one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unblank.commands.parsing import parse_recipe
from unblank.pretraining.settings import PretrainSettings

if TYPE_CHECKING:
    from unblank.process import MemoryArrangement

__all__ = ["parse", "run"]

_DESCRIPTION = """Pretrain a blank-infilling language model on your own text.

unblank pretrain [recipe.yaml] [--section.field value ...] [--print-config]

A flag overrides the recipe's field of the same name; --print-config prints the resulting recipe and
stops. Several processes: torchrun --nproc-per-node N -m unblank pretrain ..."""


def parse(arguments: Sequence[str]) -> PretrainSettings:
    """Return the pretraining run that the command line describes; see `parse_recipe`."""
    advice = "recipes/pretrain of the repository has some"
    return parse_recipe(PretrainSettings, "unblank pretrain", _DESCRIPTION, arguments, advice)


def run(settings: PretrainSettings, *, memory: "MemoryArrangement") -> None:
    """Pretrain; errors as for `run_pretrain`."""
    from unblank.pretraining.run import run_pretrain

    run_pretrain(settings, memory=memory)
