"""Settings of `unblank merge`. Standard library alone, so that `--help` is quick."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["MergeSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeSettings:
    """Add trained LoRA adapters into the matrices of their base model, and save a plain model.

    The new folder needs neither the base model nor PEFT, and runs as fast as the base model.

    unblank merge runs/reviews-lora reviews
    """

    adapter: Path
    """Folder of the adapters, written by `unblank finetune --method lora` or by PEFT."""

    output: Path
    """New folder for the whole model."""
