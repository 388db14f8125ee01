"""Opening few trained parameters together with their base model, and merging them into it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unblank.adapters.lora import put_lora
from unblank.adapters.prompts import put_prompt
from unblank.adapters.record import AdapterRecord
from unblank.generation.loading import load_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["load_adapted", "put_adapter"]


def load_adapted(
    folder: Path, *, device: str = "auto", dtype: str | torch.dtype | None = None
) -> tuple[Any, "PreTrainedTokenizerFast"]:
    """Return base model with adapter, and tokenizer; arguments and errors as for `unblank.load`.

    Args:
        folder: of the adapter.
        device: of the model.
        dtype: of the base model.
    """
    record = AdapterRecord.read(folder)
    model, tokenizer = load_folder(record.require_base(folder), device=device, dtype=dtype)
    return put_adapter(model, tokenizer, folder, record), tokenizer


def put_adapter(model: Any, tokenizer: Any, folder: Path, record: AdapterRecord) -> Any:
    """Return the base model with the adapter of a folder, frozen.

    Args:
        model: the base model; it is changed in place.
        tokenizer: its tokenizer.
        folder: of the adapter.
        record: of the folder.
    """
    if record.kind == "lora":
        return put_lora(model, folder)
    put_prompt(model, tokenizer, folder)
    return model
