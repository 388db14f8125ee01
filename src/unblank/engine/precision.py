"""Which device and which precision a run uses, and why: chosen once, and always printed."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from unblank.plurals import counted

__all__ = ["Precision", "choose_device", "choose_precision"]


@dataclass(frozen=True, slots=True)
class Precision:
    """The arithmetic of forward and backward passes; weights and sums are float32 in both."""

    name: Literal["fp32", "bf16"]
    """bf16 = autocast: matrix products in bfloat16."""
    reason: str
    """Why it was chosen, for the header."""

    @property
    def dtype(self) -> torch.dtype:
        """What matrix products are multiplied in."""
        return torch.float32 if self.name == "fp32" else torch.bfloat16

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(device.type, dtype=torch.bfloat16)


def choose_device(setting: str, local_rank: int = 0) -> torch.device:
    """Return the device of this process.

    Args:
        setting: `auto` (a GPU if there is one), or a torch device name.
        local_rank: number of this process on its machine; picks the GPU if the name has no index.

    Raises:
        ValueError: if the device is unknown, or not there.
    """
    num_gpus = torch.cuda.device_count()
    name = setting
    if setting == "auto":
        name = "cuda" if num_gpus else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"train.device is {setting!r}: use auto, cpu or cuda") from error
    # Without its index, which has no meaning on the CPU.
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise ValueError(f"train.device is {setting!r}: only cpu and cuda are supported")
    index = local_rank if device.index is None else device.index
    if index >= num_gpus:
        advice = "install a CUDA build of torch"
        if num_gpus and ":" in setting:
            advice = f"cuda:{num_gpus - 1} or less"
        elif num_gpus:
            advice = f"start at most {counted(num_gpus, 'process', 'processes')} on this machine"
        raise ValueError(
            f"train.device is {setting!r} and needs CUDA device {index}, but torch "
            f"{torch.__version__} sees {counted(num_gpus, 'CUDA device')}: use --train.device cpu, "
            f"or {advice}"
        )
    return torch.device("cuda", index)


def choose_precision(setting: str, device: torch.device) -> Precision:
    """Return the arithmetic: as set, or bf16 where the hardware multiplies bf16 fast."""
    is_fast, evidence = _has_fast_bf16(device)
    if setting == "fp32":
        return Precision("fp32", "as set")
    if setting == "bf16":
        return Precision("bf16", "as set" if is_fast else f"as set, although {evidence}")
    return Precision("bf16" if is_fast else "fp32", evidence)


def _has_fast_bf16(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        # Ampere was the first generation with bf16 units.
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return True, f"{name} computes in bf16"
        return False, f"{name} has no bf16 units"
    if torch.cpu._is_amx_tile_supported():
        return True, "this CPU has AMX"
    if torch.cpu._is_avx512_bf16_supported():
        return True, "this CPU has avx512_bf16"
    return False, "this CPU has neither avx512_bf16 nor AMX"
