"""Small checkpoints in the published layouts, made in code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import pre_tokenizers

LAYERS, WIDTH, HEADS, ROWS, POSITIONS = 2, 64, 4, 384, 33
TEXT_TOKENS = 300  # of the GPT-2 vocabulary below; with nine commands behind it fits 384 rows

Module = dict[str, torch.Tensor]


@pytest.fixture
def glm_module() -> Module:
    """The state dict of a small GLM under the names of the original program."""
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * 0.1

    module = {
        "word_embeddings.weight": values(ROWS, WIDTH),
        "transformer.position_embeddings.weight": values(POSITIONS, WIDTH),
        "transformer.block_position_embeddings.weight": values(POSITIONS, WIDTH),
    }
    for layer in range(LAYERS):
        shapes = {
            "input_layernorm": (WIDTH,),
            "attention.query_key_value": (3 * WIDTH, WIDTH),
            "attention.dense": (WIDTH, WIDTH),
            "post_attention_layernorm": (WIDTH,),
            "mlp.dense_h_to_4h": (4 * WIDTH, WIDTH),
            "mlp.dense_4h_to_h": (WIDTH, 4 * WIDTH),
        }
        for name, shape in shapes.items():
            module[f"transformer.layers.{layer}.{name}.weight"] = values(*shape)
            module[f"transformer.layers.{layer}.{name}.bias"] = values(shape[0])
    module["transformer.final_layernorm.weight"] = values(WIDTH)
    module["transformer.final_layernorm.bias"] = values(WIDTH)
    return module


@pytest.fixture
def save_ranks(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of a checkpoint folder: tracker file and one file a rank."""

    def save(*modules: Module, name: str = "checkpoint", **records: object) -> Path:
        folder = tmp_path / name
        (folder / "100").mkdir(parents=True)
        (folder / "latest_checkpointed_iteration.txt").write_text("100")
        for rank, module in enumerate(modules):
            content = {"module": module, "iteration": 100, **records}
            torch.save(content, folder / "100" / f"mp_rank_{rank:02d}_model_states.pt")
        return folder

    return save


@pytest.fixture
def bpe_files(tmp_path: Path) -> Path:
    """A folder with a byte-level vocabulary in GPT-2's layout, `<|endoftext|>` its last token."""
    folder = tmp_path / "vocabulary"
    folder.mkdir()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("\u0120", "the"), ("c", "a"), ("ca", "t")]
    tokens = [*alphabet, *(left + right for left, right in merges)]
    tokens += [f"filler{number}" for number in range(TEXT_TOKENS - 1 - len(tokens))]
    ids = {token: i for i, token in enumerate([*tokens, "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
