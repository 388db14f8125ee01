"""`CompareSettings`: what `unblank compare` can be told; with the standard library alone."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["CompareSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareSettings:
    """Pretrain variants of a model, measure each, and print and plot one table.

    What is finished is not done again: stop it when you like, and start it again. recipes/compare
    of the repository has examples.
    """

    recipe: Path
    """YAML file: settings of pretraining, variants, seeds, evaluations and fine-tunings."""
    plan: bool = False
    """Only say what there is to do, and what is done."""
    variants: tuple[str, ...] = ()
    """Only these variants."""
    seeds: tuple[int, ...] = ()
    """Only these seeds."""
    arrange_memory: bool = True
    """Huge pages and a malloc that keeps its memory, for the command's own process (Linux)."""
