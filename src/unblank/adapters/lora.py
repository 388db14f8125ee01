"""LoRA by PEFT: which layers get adapters, and the folder that PEFT reads and writes.

The adapters sit inside the model, which keeps its class: generation and scoring see no difference.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unblank.adapters.heads import require_head
from unblank.extras import optional_package
from unblank.families.family import LoraTargets
from unblank.families.table import FAMILIES, family_of_model
from unblank.models.classifier_head import head_layers
from unblank.models.finite import require_finite
from unblank.untrusted.adapter import ADAPTER_NAME, adapter_settings, with_adapter

__all__ = [
    "add_lora",
    "attach_lora",
    "merge_lora",
    "save_lora",
]

_PREFIX = "base_model.model."
"""Prefix that PEFT adds to the names of a model's weights."""


def add_lora(
    model: Any, *, rank: int, alpha: float, dropout: float, targets: LoraTargets, seed: int
) -> Any:
    """Return the model with untrained adapters inside; all other weights are frozen.

    Args:
        model: of a family with `lora_targets`; it is changed in place.
        rank: of each adapter.
        alpha: adapters are scaled by alpha / rank.
        dropout: of what goes into an adapter.
        targets: "attention", or "all" linear layers of a Transformer layer.
        seed: of the adapters' start.

    Raises:
        ValueError: a family without targets.
        ImportError: PEFT is not installed.
    """
    peft = _peft()
    layers = family_of_model(model).lora_targets
    if not layers:
        known = [family.model_type for family in FAMILIES.values() if family.lora_targets]
        raise ValueError(
            f"LoRA does not support {model.config.model_type!r}: choose one of {', '.join(known)}"
        )
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(layers[targets]),
        modules_to_save=head_layers(model) or None,
    )
    with torch.random.fork_rng(), _old_names_allowed():
        torch.manual_seed(seed)
        return peft.get_peft_model(model, config).get_base_model()


def save_lora(folder: Path, model: Any, weights: Mapping[str, Tensor], base_model: str) -> int:
    """Write the adapters as PEFT does, and return how many numbers they have.

    Args:
        folder: for `adapter_model.safetensors` and `adapter_config.json`.
        model: from `add_lora` or `attach_lora`.
        weights: its state by name, on the CPU.
        base_model: folder of the base model.
    """
    from safetensors.torch import save_file

    config = model.peft_config["default"]
    state = _peft().get_peft_model_state_dict(model, state_dict=dict(weights))
    state = {_PREFIX + name: tensor.contiguous() for name, tensor in state.items()}
    save_file(state, folder / ADAPTER_NAME, metadata={"format": "pt"})
    was_trainable, named = not config.inference_mode, config.base_model_name_or_path
    config.inference_mode, config.base_model_name_or_path = True, base_model
    config.save_pretrained(folder)
    config.inference_mode, config.base_model_name_or_path = not was_trainable, named
    return sum(tensor.numel() for tensor in state.values())


def attach_lora(model: Any, folder: Path, *, is_trainable: bool = False) -> Any:
    """Return the model with the adapters of a folder inside.

    Args:
        model: the base model; it is changed in place.
        folder: written by `save_lora` or by PEFT.
        is_trainable: whether training continues.

    Raises:
        FileNotFoundError: no adapters there in safetensors.
        ValueError: a head that this model does not have.
        ImportError: PEFT is not installed.
    """
    return _open(model, folder, is_trainable=is_trainable).get_base_model()


def merge_lora(model: Any, folder: Path) -> Any:
    """Return the base model with the adapters of a folder added into its matrices.

    Args:
        model: the base model; it is changed in place.
        folder: written by `save_lora` or by PEFT.
    """
    return _open(model, folder, is_trainable=False).merge_and_unload()


def _open(model: Any, folder: Path, *, is_trainable: bool) -> Any:
    _peft()
    settings = adapter_settings(folder)
    own = {name for name, _ in model.named_children()}
    require_head(model, folder, set(settings.get("modules_to_save") or ()) - own)
    with _old_names_allowed():
        opened = with_adapter(model, folder, is_trainable=is_trainable)
    own_parts = ("lora_", "modules_to_save")
    adapters = [item for item in opened.named_parameters() if any(p in item[0] for p in own_parts)]
    require_finite(adapters, folder)
    return opened


@contextmanager
def _old_names_allowed() -> Iterator[None]:
    """PEFT asks models for attributes by names that newer transformers warn about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        yield


def _peft() -> Any:
    return optional_package("peft", "LoRA")
