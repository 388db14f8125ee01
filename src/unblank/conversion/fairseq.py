"""What the fairseq checkpoints of DeltaLM, GanLM and RoBERTa have in common: names and settings.

A key is a stack's prefix and a path inside the stack; only the latter is translated here.
"""

import re
import warnings
from argparse import Namespace
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "count_layers",
    "cut_rows",
    "one_table",
    "recorded_arguments",
    "rename_in_stack",
    "required",
    "shape_fields",
]

HEAD_WIDTH = 64
"""Width of an attention head in every published model; files without arguments do not say it."""
STACK_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"embed_tokens\.weight", "embed_tokens.weight"),
    (r"embed_positions\.weight", "embeddings.embed_positions.weight"),
    (r"(?:layernorm_embedding|emb_layer_norm)\.(\w+)", r"embeddings.norm.\1"),
    (r"layer_norm\.(\w+)", r"norm.\1"),
    (r"relative_position\.relative_attention_bias\.weight", "relative_bias.bias.weight"),
    (r"(layers\.\d+\.)(self_attn\.[qkv]_proj\.\w+)", r"\1\2"),
    (r"(layers\.\d+\.)self_attn\.out_proj\.(\w+)", r"\1self_attn.o_proj.\2"),
    (r"(layers\.\d+\.)self_attn_layer_norm\.(\w+)", r"\1self_attn_norm.\2"),
    (r"(layers\.\d+\.)encoder_attn\.([qkv]_proj\.\w+)", r"\1cross_attn.\2"),
    (r"(layers\.\d+\.)encoder_attn\.out_proj\.(\w+)", r"\1cross_attn.o_proj.\2"),
    (r"(layers\.\d+\.)encoder_attn_layer_norm\.(\w+)", r"\1cross_attn_norm.\2"),
    (r"(layers\.\d+\.)fc1\.(\w+)", r"\1mlp.up_proj.\2"),
    (r"(layers\.\d+\.)fc2\.(\w+)", r"\1mlp.down_proj.\2"),
    (r"(layers\.\d+\.)final_layer_norm\.(\w+)", r"\1mlp_norm.\2"),
    (r"(layers\.\d+\.)fc3\.(\w+)", r"\1bottom_mlp.up_proj.\2"),
    (r"(layers\.\d+\.)fc4\.(\w+)", r"\1bottom_mlp.down_proj.\2"),
    (r"(layers\.\d+\.)ffn_layer_norm\.(\w+)", r"\1bottom_mlp_norm.\2"),
)


def rename_in_stack(key: str, path: str) -> str:
    """Return our name of `path`, a parameter's name inside a stack.

    Args:
        key: the whole key, for the message.
        path: the key without the prefix of its stack.

    Raises:
        ValueError: no such parameter is known.
    """
    for pattern, replacement in STACK_PATTERNS:
        match = re.fullmatch(pattern, path)
        if match:
            return match.expand(replacement)
    raise ValueError(f"{key!r} is no key of this checkpoint layout; nothing is dropped silently")


def recorded_arguments(content: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that a fairseq checkpoint was trained with; empty if it has none."""
    arguments = content.get("args")
    if arguments is None and isinstance(content.get("cfg"), dict):
        arguments = content["cfg"].get("model")
    if isinstance(arguments, Namespace):
        return dict(vars(arguments))
    return dict(arguments) if isinstance(arguments, dict) else {}


def one_table(tables: dict[str, Tensor]) -> Tensor:
    """Return the one embedding table among its copies; the last copy counts, as in fairseq.

    Args:
        tables: original key and tensor of each copy, encoder first.

    Raises:
        ValueError: no copy at all.
    """
    if not tables:
        raise ValueError("the checkpoint has no embed_tokens.weight")
    (*earlier, (last_key, table)) = tables.items()
    for key, other in earlier:
        if other.shape != table.shape or not torch.equal(other, table):
            warnings.warn(
                f"{key} differs from {last_key}, where one tied table should be: taking {last_key}",
                stacklevel=2,
            )
    return table


def cut_rows(name: str, table: Tensor, num_rows: int | None) -> Tensor:
    """Return the first `num_rows` rows; None keeps all.

    Raises:
        ValueError: the table has fewer.
    """
    if num_rows is None:
        return table
    if num_rows > table.shape[0]:
        raise ValueError(f"{name} has {table.shape[0]} rows, not the {num_rows} asked for")
    return table[:num_rows]


def count_layers(keys: Iterable[str], stack: str) -> int:
    """Return how many layers a stack has, 0 if there is no such stack.

    Args:
        keys: our names of the tensors.
        stack: prefix of the stack, e.g. "model.encoder.".

    Raises:
        ValueError: a layer in between is missing.
    """
    pattern = re.compile(re.escape(stack) + r"layers\.(\d+)\.")
    numbers = {int(match[1]) for key in keys if (match := pattern.match(key))}
    if numbers != set(range(len(numbers))):
        raise ValueError(f"the layers of {stack!r} are not numbered 0, 1, ...: {sorted(numbers)}")
    return len(numbers)


def required(state_dict: dict[str, Tensor], key: str) -> Tensor:
    """Return a tensor that every checkpoint of this layout has.

    Raises:
        ValueError: it is missing.
    """
    if key not in state_dict:
        raise ValueError(f"the checkpoint has no {key}: it is incomplete or of another model")
    return state_dict[key]


def shape_fields(
    state_dict: dict[str, Tensor], encoder: str, num_attention_heads: int | None
) -> dict[str, Any]:
    """Return the configuration fields that the tensors of an encoder imply.

    Args:
        state_dict: tensors under our names.
        encoder: prefix of the encoder, e.g. "model.encoder.".
        num_attention_heads: None is one head for each 64 of the width.
    """
    vocab_size, width = required(state_dict, f"{encoder}embed_tokens.weight").shape
    positions = required(state_dict, f"{encoder}embeddings.embed_positions.weight")
    return {
        "vocab_size": vocab_size,
        "hidden_size": width,
        "num_attention_heads": num_attention_heads or max(1, width // HEAD_WIDTH),
        "intermediate_size": required(state_dict, f"{encoder}layers.0.mlp.up_proj.weight").shape[0],
        "max_position_embeddings": positions.shape[0] - 2,
        "encoder_layers": count_layers(state_dict, encoder),
        "layernorm_embedding": f"{encoder}embeddings.norm.weight" in state_dict,
        "normalize_before": f"{encoder}norm.weight" in state_dict,
    }
