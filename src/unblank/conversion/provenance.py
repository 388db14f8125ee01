"""`provenance.json` of a converted folder: where every byte came from and what was done to it."""

from pathlib import Path
from typing import Any

from unblank.conversion.detect import Detection
from unblank.conversion.options import ConvertOptions
from unblank.conversion.plan import ConversionPlan, PlannedTensor
from unblank.conversion.source import Source
from unblank.installed import installed_versions
from unblank.integrity import PROVENANCE_NAME, facts_of_files, file_facts, seal, write_atomically
from unblank.model_card import write_card

__all__ = ["PACKAGES", "provenance_of", "write_provenance"]

PACKAGES = ("unblank", "torch", "transformers", "tokenizers", "safetensors")


def write_provenance(folder: Path, record: dict[str, Any]) -> None:
    """Add the facts of all files in `folder` to the record; write it and the model's card there."""
    write_atomically(folder / PROVENANCE_NAME, seal(record | {"files": facts_of_files(folder)}))
    write_card(folder, record)


def provenance_of(
    source: Source, detection: Detection, plan: ConversionPlan, options: ConvertOptions
) -> dict[str, Any]:
    """Return the record of a conversion, without the facts of the written files.

    Args:
        source: its weight files are read once more, for their hashes.
        detection: family and evidence.
        plan: what was written.
        options: what the user asked for.
    """
    return {
        "program": "unblank convert",
        "source": {
            "path": str(source.path),
            "files": {path.name: file_facts(path) for path in _read_files(source)},
        },
        "family": detection.family,
        "evidence": [*detection.evidence, *plan.evidence],
        "traps": list(plan.traps),
        "model": plan.model_class.__name__,
        "options": {
            "family": options.family,
            "dtype": options.dtype or "as stored",
            "num_attention_heads": options.num_attention_heads,
            "vocab_size": options.vocab_size,
            "language_tags": list(options.language_tags),
            "ffn_order": options.ffn_order or "current",
            "part": options.kept_part,
        },
        "keys": [_entry(planned) for planned in plan.tensors],
        "dropped": [{"key": dropped.key, "reason": dropped.reason} for dropped in plan.dropped],
        "untrained": list(plan.untrained),
        "tokenizer": plan.tokenizer_facts or "none",
        "versions": installed_versions(PACKAGES),
    }


def _read_files(source: Source) -> list[Path]:
    """Return the files of the weights, and the settings that were taken from beside them."""
    settings = [] if source.settings is None else [source.folder / "config.json"]
    return [*source.files, *settings]


def _entry(planned: PlannedTensor) -> dict[str, Any]:
    entry = {
        "name": planned.name,
        "from": list(planned.keys),
        "action": planned.action,
        "shape": list(planned.shape),
    }
    return entry | ({"reason": planned.reason} if planned.reason else {})
