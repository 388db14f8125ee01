"""The published GLM checkpoint layout: tracker file, model-parallel pieces, Megatron key names.

`query_key_value` of a rank holds its own Q, K and V rows one after another, so pieces are cut in
three before they are joined.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unblank.conversion.torch_files import read_torch_file
from unblank.models.glm import GlmInfillConfig

__all__ = ["glm_state_dict", "infer_glm_config", "read_glm_checkpoint", "read_glm_module"]

TRACKERS = ("latest_checkpointed_iteration.txt", "latest")
PREFIXES = ("module.", "glm.", "model.")
KEY_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"word_embeddings\.weight", "model.embed_tokens.weight"),
    (r"transformer\.position_embeddings\.weight", "model.embed_positions.weight"),
    (r"transformer\.block_position_embeddings\.weight", "model.embed_block_positions.weight"),
    (r"transformer\.final_layernorm\.(\w+)", r"model.norm.\1"),
    (
        r"transformer\.layers\.(\d+)\.(input_layernorm|post_attention_layernorm)\.(\w+)",
        r"model.layers.\1.\2.\3",
    ),
    (
        r"transformer\.layers\.(\d+)\.attention\.query_key_value\.(\w+)",
        r"model.layers.\1.self_attn.qkv_proj.\2",
    ),
    (
        r"transformer\.layers\.(\d+)\.attention\.dense\.(\w+)",
        r"model.layers.\1.self_attn.o_proj.\2",
    ),
    (r"transformer\.layers\.(\d+)\.mlp\.dense_h_to_4h\.(\w+)", r"model.layers.\1.mlp.up_proj.\2"),
    (r"transformer\.layers\.(\d+)\.mlp\.dense_4h_to_h\.(\w+)", r"model.layers.\1.mlp.down_proj.\2"),
    (r"pool_layer\.(\w+)", r"dense.\1"),
    (r"multichoice_head\.(\w+)", r"out_proj.\1"),
)
HEAD_WIDTH = 64
"""Width of an attention head in every published GLM; the files do not store it."""


def read_glm_checkpoint(
    folder: Path, num_attention_heads: int | None = None
) -> tuple[GlmInfillConfig, dict[str, Tensor]]:
    """Return the configuration and the weights of a checkpoint folder, under our names.

    Args:
        folder: holds a tracker file and `<tag>/mp_rank_XX_model_states.pt`, or is that `<tag>`.
        num_attention_heads: heads a layer; None is one for each 64 of the width.

    Raises:
        FileNotFoundError: no checkpoint there, or a rank is missing.
        ValueError: damaged or hostile file, unknown keys, ranks that disagree.
    """
    state_dict = glm_state_dict(read_glm_module(folder))
    return infer_glm_config(state_dict, num_attention_heads), state_dict


def read_glm_module(folder: Path) -> dict[str, Tensor]:
    """Return the merged `module` tensors of a checkpoint folder, under the original names."""
    modules = [_module(path) for path in _rank_files(Path(folder))]
    if len(modules) == 1:
        return modules[0]
    if any(module.keys() != modules[0].keys() for module in modules):
        raise ValueError(f"the ranks in {folder} hold different keys; are they of one checkpoint?")
    return {key: _merge(key, [module[key] for module in modules]) for key in modules[0]}


def glm_state_dict(module: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `module` under our names.

    Raises:
        ValueError: a key that no GLM has.
    """
    return {_rename(key): tensor for key, tensor in module.items()}


def infer_glm_config(
    state_dict: dict[str, Tensor], num_attention_heads: int | None = None
) -> GlmInfillConfig:
    """Return the configuration that the shapes of `state_dict` imply.

    Raises:
        ValueError: a table that every GLM has is missing.
    """
    try:
        vocab_size, width = state_dict["model.embed_tokens.weight"].shape
        rows = state_dict["model.embed_positions.weight"].shape[0]
    except KeyError as error:
        raise ValueError(f"not a GLM checkpoint: it has no {error.args[0]}") from error
    layers = {int(key.split(".")[2]) for key in state_dict if key.startswith("model.layers.")}
    return GlmInfillConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=num_attention_heads or max(1, width // HEAD_WIDTH),
        max_position_embeddings=rows - 1,
        block_position_encoding="model.embed_block_positions.weight" in state_dict,
    )


def _rank_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    trackers = [folder / name for name in TRACKERS if (folder / name).is_file()]
    if trackers:
        tag = trackers[0].read_text(encoding="utf-8").strip()
        if Path(tag).name != tag or tag in ("", ".", ".."):
            raise ValueError(f"{trackers[0]} names {tag!r}, which is not a folder beside it")
        folder = folder / tag
    files = sorted(folder.glob("mp_rank_*_model_states.pt"))
    if not files:
        raise FileNotFoundError(
            f"no mp_rank_*_model_states.pt in {folder}; a GLM checkpoint is a folder with "
            f"{TRACKERS[0]} and <tag>/mp_rank_00_model_states.pt"
        )
    expected = [f"mp_rank_{rank:02d}_model_states.pt" for rank in range(len(files))]
    missing = sorted(set(expected) - {path.name for path in files})
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}: all ranks are needed")
    return files


def _module(path: Path) -> dict[str, Tensor]:
    content: dict[str, Any] = read_torch_file(path)
    module = content.get("module", content)
    return {
        _strip(key): tensor for key, tensor in module.items() if isinstance(tensor, torch.Tensor)
    }


def _strip(key: str) -> str:
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _rename(key: str) -> str:
    for pattern, replacement in KEY_PATTERNS:
        match = re.fullmatch(pattern, key)
        if match:
            return match.expand(replacement)
    raise ValueError(f"{key!r} is no key of a GLM checkpoint; nothing is dropped silently")


def _merge(key: str, pieces: list[Tensor]) -> Tensor:
    merge = next((join for part, join in MERGES.items() if part in key), _replicated)
    return merge(key, pieces)


def _join_rows(key: str, pieces: list[Tensor]) -> Tensor:
    return torch.cat(pieces, dim=0)


def _join_columns(key: str, pieces: list[Tensor]) -> Tensor:
    return torch.cat(pieces, dim=1)


def _join_query_key_value(key: str, pieces: list[Tensor]) -> Tensor:
    thirds = [piece.chunk(3, dim=0) for piece in pieces]
    return torch.cat([third[part] for part in range(3) for third in thirds], dim=0)


def _replicated(key: str, pieces: list[Tensor]) -> Tensor:
    if any(not torch.equal(piece, pieces[0]) for piece in pieces):
        raise ValueError(f"{key} differs between ranks, where it should be the same")
    return pieces[0]


MERGES: dict[str, Callable[[str, list[Tensor]], Tensor]] = {
    "word_embeddings": _join_rows,
    "query_key_value": _join_query_key_value,
    "dense_h_to_4h": _join_rows,
    "attention.dense.weight": _join_columns,
    "dense_4h_to_h.weight": _join_columns,
}
