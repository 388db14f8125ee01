"""Opening an adapter together with its base model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unblank.adapters.lora import attach_lora
from unblank.adapters.prompts import TRAINING_NAME, attach_prompt
from unblank.adapters.record import AdapterRecord
from unblank.families.loading import load_folder
from unblank.integrity import MANIFEST_NAME, PROVENANCE_NAME, SHARDED_NAME, find_damage
from unblank.untrusted.links import refuse_links_out

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["attach_adapter", "load_adapted", "require_undamaged"]

_FOR_TRAINING = ("optimizer.safetensors", "trainer.json", TRAINING_NAME, f"{SHARDED_NAME}/*")
"""Files of a checkpoint that are not read when its adapter is used."""


def load_adapted(
    folder: Path, *, device: str = "auto", dtype: str | torch.dtype | None = None
) -> tuple[Any, "PreTrainedTokenizerFast"]:
    """Return base model with adapter, and tokenizer; arguments and errors as for `unblank.load`."""
    refuse_links_out(folder)
    require_undamaged(folder)
    record = AdapterRecord.read(folder)
    model, tokenizer = load_folder(record.require_base(folder), device=device, dtype=dtype)
    return attach_adapter(model, tokenizer, folder, record), tokenizer


def require_undamaged(folder: Path) -> None:
    """Raise ValueError if the adapters are not as they were written; PEFT's have no record."""
    for record_name in (MANIFEST_NAME, PROVENANCE_NAME):
        if (folder / record_name).is_file() and (
            damage := find_damage(folder, record_name, unused=_FOR_TRAINING)
        ) is not None:
            raise ValueError(f"{folder} is damaged ({damage}): copy or save it again")


def attach_adapter(model: Any, tokenizer: Any, folder: Path, record: AdapterRecord) -> Any:
    """Return the base model with the adapter of a folder, frozen.

    Args:
        model: the base model; it is changed in place.
        tokenizer: its tokenizer.
        folder: of the adapter.
        record: of the folder.
    """
    if record.kind == "lora":
        return attach_lora(model, folder)
    attach_prompt(model, tokenizer, folder)
    return model
