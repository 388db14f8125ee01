"""Opening adapters that PEFT wrote: LoRA in safetensors, and nothing that its settings smuggle in.

PEFT's settings can name modules to import, patterns that take hours to match, and ranks that fill
the memory before the file is looked at.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.links import refuse_links_out
from unblank.untrusted.weight_files import opened_weights

__all__ = ["ADAPTER_NAME", "PEFT_CONFIG_NAME", "adapter_settings", "with_adapter"]

PEFT_CONFIG_NAME = "adapter_config.json"
ADAPTER_NAME = "adapter_model.safetensors"
"""PEFT's names."""

_MOST_REPEATS = 4
"""Repeats in a pattern: the time to match a name may grow with its length to this power."""
_USUAL_RANK = 1024
"""Rank that any adapter may name, though its own matrices are smaller."""


def adapter_settings(folder: Path) -> dict[str, Any]:
    """Return what `adapter_config.json` of a folder holds.

    Raises:
        FileNotFoundError: no weights in safetensors.
        ValueError: not LoRA, settings that import code or cost too much, or a link that leaves
            the folder.
    """
    refuse_links_out(folder)
    if not (folder / ADAPTER_NAME).is_file():
        pickles = sorted(path.name for path in folder.glob("adapter_model.*"))
        found = f", only {', '.join(pickles)}, which is never opened" if pickles else ""
        raise FileNotFoundError(
            f"{folder} has no {ADAPTER_NAME}{found}: copy it there, or save the adapters with PEFT "
            "again"
        )
    path = folder / PEFT_CONFIG_NAME
    settings = read_json_object(path)
    if settings.get("peft_type") != "LORA":
        raise ValueError(
            f"{path} has peft_type {str(settings.get('peft_type'))[:60]!r}: only LORA is opened"
        )
    if not isinstance(settings.get("modules_to_save") or [], list):
        raise ValueError(f"{path} is damaged: modules_to_save should be a list of names")
    if settings.get("megatron_config"):
        raise ValueError(f"{path} sets megatron_config, which imports other code: remove it")
    for pattern in _patterns(settings):
        repeats = re.findall(r"[*+{]", pattern)
        if len(repeats) > _MOST_REPEATS or re.search(r"\)[*+{]", pattern):
            raise ValueError(
                f"{path} has the pattern {pattern[:60]!r}, which may take hours to match: name the "
                "modules as a list"
            )
    _require_ranks(path, folder / ADAPTER_NAME, settings)
    return settings


def with_adapter(model: Any, folder: Path, *, is_trainable: bool) -> Any:
    """Return PEFT's model of a base model and the adapter of a folder.

    Args:
        model: the base model; it is changed in place.
        folder: written by PEFT, or by this library in PEFT's format.
        is_trainable: whether training continues.

    Raises:
        FileNotFoundError: as for `adapter_settings`.
        ValueError: as for `adapter_settings`, settings that PEFT does not understand, or matrices
            of other sizes than the layers of the model.
        ImportError: PEFT is not installed.
    """
    from peft import PeftModel

    adapter_settings(folder)
    try:
        return PeftModel.from_pretrained(
            model, str(folder), is_trainable=is_trainable, local_files_only=True
        )
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"PEFT cannot read the adapter in {folder}: {reason}") from error


def _patterns(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what PEFT matches as regular expressions."""
    for name in ("target_modules", "exclude_modules", "layers_pattern"):
        if isinstance(settings.get(name), str):
            yield settings[name]
    for name in ("rank_pattern", "alpha_pattern"):
        if isinstance(settings.get(name), dict):
            yield from settings[name]


def _require_ranks(path: Path, weights: Path, settings: Mapping[str, Any]) -> None:
    with opened_weights(weights) as file:
        stored = [max(file.get_slice(name).get_shape(), default=0) for name in file.keys()]  # noqa: SIM118
    largest = max([_USUAL_RANK, *stored])
    patterns = settings.get("rank_pattern")
    for rank in (settings.get("r", 1), *(patterns.values() if isinstance(patterns, dict) else ())):
        if type(rank) is not int or not 1 <= rank <= largest:
            raise ValueError(
                f"{path} names the rank {str(rank)[:60]}: the matrices in {weights.name} allow a "
                f"whole number from 1 to {largest:,}"
            )
