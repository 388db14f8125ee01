"""`unblank merge`: adds trained LoRA adapters to their base model, as a plain model folder."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import Positional
from unblank.terminal_text import print_message, print_result

__all__ = ["MergeSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeSettings:
    """Add trained LoRA adapters into the matrices of their base model, and save a plain model.

    The new folder needs neither the base model nor PEFT, and runs as fast as the base model.

    unblank merge runs/reviews-lora reviews
    """

    adapter: Positional[Path]
    """Adapter folder, written by `unblank finetune --method lora` or by PEFT."""

    output: Positional[Path]
    """New folder for the merged model."""


parse = partial(parse_settings, "merge", MergeSettings)


def run(settings: MergeSettings) -> None:
    """Write the merged model and say what was merged; errors as for `merge`."""
    from unblank.adapters.merge import merge
    from unblank.calibration.record import calibration_left

    base = merge(settings.adapter, settings.output)
    print_result(f"merged {settings.adapter} into {base}: the model is in {settings.output}")
    if note := calibration_left(settings.adapter, settings.output):
        print_message(note)
