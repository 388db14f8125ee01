"""The recorded GLM originals, found by looking: sizes and cases come from the folder itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unblank.conversion.glm import read_glm_checkpoint
from unblank.models import GlmInfillForConditionalGeneration


@pytest.fixture(scope="session")
def glm_dir(fixtures_dir: Path) -> Path:
    return require(fixtures_dir / "glm")


@pytest.fixture(scope="session")
def glm_sizes(glm_dir: Path) -> dict:
    return json.loads(require(glm_dir / "config.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def load_glm(glm_dir: Path, glm_sizes: dict) -> Callable[[str], GlmInfillForConditionalGeneration]:
    """Return a loader of the checkpoint folders beside the recorded outputs."""

    def load(name: str) -> GlmInfillForConditionalGeneration:
        config, state_dict = read_glm_checkpoint(
            require(glm_dir / name), glm_sizes["num_attention_heads"]
        )
        model = GlmInfillForConditionalGeneration(config)
        missing, unexpected = model.load_state_dict(state_dict, strict=False)
        assert missing == ["lm_head.weight"]
        assert not unexpected
        model.tie_weights()
        return model.float().eval()

    return load


@pytest.fixture(scope="session")
def glm(load_glm: Callable[[str], GlmInfillForConditionalGeneration]):
    return load_glm("checkpoint")


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
