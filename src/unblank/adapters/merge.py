"""Merging LoRA adapters into their base model, as a plain model folder."""

from pathlib import Path

import unblank
from unblank.adapters.lora import merge_lora
from unblank.adapters.opening import require_undamaged
from unblank.adapters.record import AdapterRecord, has_adapter
from unblank.atomic_folders import new_folder
from unblank.families.loading import load_folder, require_folder
from unblank.integrity import PROVENANCE_NAME, facts_of_files, file_facts, seal, write_atomically
from unblank.model_card import write_card
from unblank.quiet import without_progress_bar
from unblank.training_record import training_settings

__all__ = ["merge"]


def merge(folder: Path, output: Path) -> Path:
    """Write the merged model; return the folder of the base model.

    Raises:
        FileNotFoundError: no adapters there, or their base model is gone.
        FileExistsError: the output folder exists.
        ValueError: a trained prompt, a damaged folder, or a base model with other weights.
    """
    require_folder(folder)
    if not has_adapter(folder):
        raise FileNotFoundError(f"{folder} has no adapter: there is no adapter_config.json")
    record = AdapterRecord.read(folder)
    if record.kind != "lora":
        raise ValueError(
            f"{folder} is a {record.kind}, which is not part of any weight matrix and cannot be "
            "merged: use the folder as it is, with its base model"
        )
    require_undamaged(folder)
    base = record.require_base(folder)
    with new_folder(output) as staging:
        model, tokenizer = load_folder(base, device="cpu")
        with without_progress_bar():
            merge_lora(model, folder).save_pretrained(staging)
        tokenizer.save_pretrained(staging)
        provenance = {
            "made_by": f"unblank {unblank.__version__} merge",
            "base_model": {"folder": str(base), "fingerprint": record.base_fingerprint},
            "adapter": {
                "folder": str(folder.resolve()),
                **{path.name: file_facts(path) for path in sorted(folder.glob("*.safetensors"))},
            },
            "settings": training_settings(folder),
            "files": facts_of_files(staging),
        }
        write_atomically(staging / PROVENANCE_NAME, seal(provenance))
        write_card(staging, provenance)
    return base
