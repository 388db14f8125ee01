"""Trained prompts on disk: a few kilobytes of safetensors, with or without an encoder in training.

`prompt.safetensors` holds what is used: `vectors` [N, D] or `keys_values` [L, 2, N, D], and the
`head.*` of a classifier. `training.safetensors` holds the parameters after it, to train on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from unblank.adapters.heads import require_head
from unblank.models.finite import require_finite
from unblank.prompting.soft import SoftPrompt, attach_soft_prompt
from unblank.prompting.soft_deep import attach_deep_prompt
from unblank.tokenization.special import give_prompt
from unblank.untrusted.weight_files import tensors_in

__all__ = ["TRAINING_NAME", "attach_prompt", "load_training", "save_prompt"]

_PROMPT_NAME = "prompt.safetensors"
TRAINING_NAME = "training.safetensors"

_SOFT, _DEEP, _HEAD = "soft_prompt.", ".self_attn.prompt.", "head."


def save_prompt(
    folder: Path, model: Any, weights: Mapping[str, Tensor], *, with_training: bool
) -> int:
    """Write a model's trained prompt, and return how many numbers it has.

    Args:
        folder: of the adapter.
        model: with a prompt; all else that is trained in it is saved as its head.
        weights: its state by name, on the CPU.
        with_training: also write what `load_training` needs to go on.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    trained = {name: weights[name].float().contiguous() for name in names}
    exported = _exported(model, trained)
    save_file(exported, folder / _PROMPT_NAME)
    if with_training:
        save_file(trained, folder / TRAINING_NAME)
    return sum(tensor.numel() for tensor in exported.values())


def load_training(model: Any, folder: Path) -> None:
    """Put the parameters that `save_prompt` wrote into a model with a prompt of the same shape.

    Raises:
        FileNotFoundError: they were left behind.
        RuntimeError: another shape or encoder; the message is torch's.
    """
    path = folder / TRAINING_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} has no {TRAINING_NAME}: training cannot continue from it"
        )
    trained = tensors_in(path)
    require_finite(trained.items(), folder)
    model.load_state_dict({**model.state_dict(), **trained})


def attach_prompt(model: Any, tokenizer: Any, folder: Path) -> None:
    """Put the trained prompt of a folder before a model, frozen.

    Args:
        model: the base model.
        tokenizer: its tokenizer; a prompt in Part A gives it ids.
        folder: written by `save_prompt`.

    Raises:
        ValueError: a prompt of another shape, or a head that this model does not have.
    """
    tensors = tensors_in(folder / _PROMPT_NAME)
    require_finite(tensors.items(), folder)
    if (vectors_ND := tensors.pop("vectors", None)) is not None:
        prompt = SoftPrompt(model.config.vocab_size, vectors_ND, nn.Identity())
        attach_soft_prompt(model, prompt)
        give_prompt(tokenizer, prompt.first_id, len(prompt))
    elif (keys_values_L2ND := tensors.pop("keys_values", None)) is not None:
        attach_deep_prompt(model, keys_values_L2ND)
    else:
        raise ValueError(
            f"{folder / _PROMPT_NAME} holds no prompt: neither vectors nor keys_values"
        )
    head = {name.removeprefix(_HEAD): tensor for name, tensor in tensors.items()}
    own = dict(model.named_parameters())
    require_head(model, folder, set(head) - set(own))
    with torch.no_grad():
        for name, tensor in head.items():
            if tensor.shape != own[name].shape:  # else a row would be copied to every class
                raise ValueError(
                    f"{folder} was trained with a head whose {name} has the shape "
                    f"{list(tensor.shape)}, and this model's has {list(own[name].shape)}"
                )
            own[name].copy_(tensor)
    model.requires_grad_(False)


@torch.no_grad()
def _exported(model: Any, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    layers = [tensor for name, tensor in trained.items() if _DEEP in name]
    soft = {name.split(_SOFT)[1]: value for name, value in trained.items() if _SOFT in name}
    exported = {
        _HEAD + name: value
        for name, value in trained.items()
        if _DEEP not in name and _SOFT not in name
    }
    if layers:
        exported["keys_values"] = torch.stack(layers)
    else:
        vectors_ND = soft.pop("vectors")
        encoder = type(model.base_model.soft_prompt.encoder)(vectors_ND.shape[1])
        encoder.load_state_dict({name.removeprefix("encoder."): soft[name] for name in soft})
        exported["vectors"] = encoder(vectors_ND).contiguous()
    return exported
