"""Reading what the original programs recorded; what a folder lacks is skipped by name."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

TRACKERS = ("latest_checkpointed_iteration.txt", "latest")
"""Files that name the folder of a GLM checkpoint."""


def require(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not in this fixture folder")
    return path


def recorded(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Return the tensors of a safetensors file by case, then by name."""
    cases: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_file(require(path)).items():
        case, _, name = key.partition(".")
        cases.setdefault(case, {})[name] = tensor
    return cases
