"""The recorded GLM originals, found by looking: sizes and cases come from the folder itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from recordings import require

from unblank.conversion.convert import convert
from unblank.models import GlmInfillForConditionalGeneration


@pytest.fixture(scope="session")
def glm_dir(fixtures_dir: Path) -> Path:
    return require(fixtures_dir / "glm")


@pytest.fixture(scope="session")
def glm_sizes(glm_dir: Path) -> dict:
    return json.loads(require(glm_dir / "config.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def convert_glm(
    glm_dir: Path, glm_sizes: dict, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a converter of the checkpoint folders beside the recorded outputs, each done once."""
    root = tmp_path_factory.mktemp("converted")

    def converted(name: str) -> Path:
        output = root / name
        if not output.exists():
            heads = glm_sizes["num_attention_heads"]
            convert(require(glm_dir / name), output, num_attention_heads=heads)
        return output

    return converted


@pytest.fixture(scope="session")
def load_glm(
    convert_glm: Callable[[str], Path],
) -> Callable[[str], GlmInfillForConditionalGeneration]:
    """Return a loader of converted checkpoint folders."""

    def load(name: str) -> GlmInfillForConditionalGeneration:
        folder = convert_glm(name)
        return GlmInfillForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()

    return load


@pytest.fixture(scope="session")
def glm(load_glm: Callable[[str], GlmInfillForConditionalGeneration]):
    return load_glm("checkpoint")


@pytest.fixture(scope="session")
def convert_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a converter that does each checkpoint once for each choice of options."""
    root, done = tmp_path_factory.mktemp("encoder_decoders"), {}

    def converted(path: Path, **options: object) -> Path:
        key = (path, tuple(sorted(options.items())))
        if key not in done:
            done[key] = root / str(len(done))
            convert(require(path), done[key], **options)
        return done[key]

    return converted


@pytest.fixture(scope="session")
def fairseq_file(fixtures_dir: Path) -> Callable[[str], Path]:
    """Return a finder of the one recorded fairseq checkpoint of a family."""

    def found(family: str) -> Path:
        files = sorted((fixtures_dir / family / "fairseq_checkpoint").glob("*.pt"))
        return files[0] if files else pytest.skip(f"no fairseq checkpoint of {family} is recorded")

    return found
