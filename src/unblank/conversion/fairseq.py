"""What the fairseq checkpoints of DeltaLM, GanLM and RoBERTa have in common: names and settings.

A key is a stack's prefix and a path inside the stack; only the latter is translated here.
"""

import re
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from unblank.conversion.heads import checked_heads
from unblank.conversion.key_patterns import KeyPatterns, translated
from unblank.conversion.plan import Action, DroppedKey, PlannedTensor, table_shape
from unblank.conversion.source import Source
from unblank.models.initialization import draw_tag_rows

__all__ = [
    "choose_heads",
    "count_layers",
    "drop_copies",
    "drop_markers",
    "name_in_stack",
    "plan_table",
    "recorded_arguments",
    "same_tables",
    "shape_fields",
]

_PUBLISHED_HEADS = {768: 12, 1024: 16}
"""Width -> heads of every published DeltaLM and GanLM, for files that do not record them."""
_CHUNK_ROWS = 8192
"""Rows of a table compared at a time."""
_STACK_PATTERNS: KeyPatterns = (
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


def name_in_stack(path: str) -> str | None:
    """Return our name of `path`, a parameter's name inside a stack; None if none is known."""
    return translated(path, _STACK_PATTERNS)


def drop_markers(keys: Iterable[str]) -> list[DroppedKey]:
    """Return the keys that fairseq stores beside the weights, as dropped ones."""
    reason = "a version marker of fairseq, no weight"
    return [DroppedKey(key=key, reason=reason) for key in keys if key.endswith(".version")]


def drop_copies(tables: Iterable[str], kept: str) -> list[DroppedKey]:
    """Return the keys of a model's one embedding table, except the one that is kept."""
    reason = f"a copy of {kept}, which is tied to it"
    return [DroppedKey(key=key, reason=reason) for key in tables if key != kept]


def recorded_arguments(records: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that a fairseq checkpoint was trained with; empty if it has none."""
    arguments = records.get("args")
    if arguments is None and isinstance(records.get("cfg"), dict):
        arguments = records["cfg"].get("model")
    if isinstance(arguments, Namespace):
        return dict(vars(arguments))
    return dict(arguments) if isinstance(arguments, dict) else {}


def same_tables(tables: Mapping[str, Tensor], source: Source) -> list[str]:
    """Return the keys of tables that differ from the last one.

    Args:
        tables: original key and tensor of each copy of the one embedding table.
        source: its pages are given back while reading, as the tables are most of a file.
    """
    (*others, (_, last)) = tables.items()
    differing = []
    for key, table in others:
        same = table.shape == last.shape
        for start in range(0, last.shape[0] if same else 0, _CHUNK_ROWS):
            same = same and torch.equal(
                table[start : start + _CHUNK_ROWS], last[start : start + _CHUNK_ROWS]
            )
            source.release()
        if not same:
            differing.append(key)
    return differing


def plan_table(name: str, key: str, table: Tensor, *, num_rows: int, num_new: int) -> PlannedTensor:
    """Return a plan to write an embedding table cut to `num_rows`, with new rows behind.

    New rows are drawn as the authors drew those of language tags (normal, deviation width ** -0.5),
    always the same ones.

    Args:
        name: of the parameter.
        key: original key.
        table: [V, D].
        num_rows: rows to keep, at most V.
        num_new: rows to add.

    Raises:
        ValueError: the table has fewer rows.
    """
    rows, width = table_shape(key, table.shape)
    if num_rows > rows:
        raise ValueError(f"{key} has {rows} rows, fewer than --vocab-size {num_rows}")
    action: Action = "renamed"
    reason, read = "", _first_rows(table, num_rows)
    if num_rows < rows:
        action, reason = "changed", f"cut to the first {num_rows} of {rows} rows (--vocab-size)"
    if num_new:
        action, reason = (
            "changed",
            f"{reason}; {num_new} rows for language tags added".removeprefix("; "),
        )
        read = _with_new_rows(read, num_new)
    return PlannedTensor(
        name=name, shape=(num_rows + num_new, width), keys=(key,), action=action, read=read,
        reason=reason,
    )  # fmt: skip


def _first_rows(table: Tensor, num_rows: int) -> Callable[[], Tensor]:
    return lambda: table[:num_rows]


def _with_new_rows(read: Callable[[], Tensor], num_new: int) -> Callable[[], Tensor]:
    def extended() -> Tensor:
        table = read()
        return torch.cat([table, draw_tag_rows(num_new, table.shape[1]).to(table.dtype)])

    return extended


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


def choose_heads(width: int, arguments: Mapping[str, Any], given: int | None) -> tuple[int, str]:
    """Return the number of heads, which no tensor shows, and how it was found.

    Args:
        width: of the model.
        arguments: from `recorded_arguments`.
        given: by the user.

    Raises:
        ValueError: nothing says it, and no published model has this width.
    """
    recorded = arguments.get("encoder_attention_heads")
    if given is not None:
        heads = checked_heads(given, width, "--num-attention-heads")
        return heads, f"{heads} heads, as given"
    if recorded is not None:
        heads = checked_heads(recorded, width, "the checkpoint")
        return heads, f"{heads} heads, as the checkpoint records"
    if width not in _PUBLISHED_HEADS:
        raise ValueError(
            f"the number of heads is unknown: the checkpoint does not record it, and no "
            f"published model has width {width}: give --num-attention-heads"
        )
    heads = _PUBLISHED_HEADS[width]
    return heads, (
        f"{heads} heads, as in the published model of width {width}; if this is another model, "
        "give --num-attention-heads"
    )


def shape_fields(shapes: Mapping[str, tuple[int, ...]], encoder: str) -> dict[str, Any]:
    """Return the configuration fields that the shapes of an encoder imply.

    Args:
        shapes: of the tensors, under our names.
        encoder: prefix of the encoder, e.g. "model.encoder.".

    Raises:
        ValueError: a tensor that every encoder has is missing.
    """
    needed = ("embed_tokens.weight", "embeddings.embed_positions.weight")
    for name in (*needed, "layers.0.mlp.up_proj.weight"):
        if encoder + name not in shapes:
            raise ValueError(
                f"the checkpoint has no {encoder}{name}: it is incomplete, or of another model"
            )
        table_shape(name, shapes[encoder + name])
    vocab_size, width = shapes[f"{encoder}embed_tokens.weight"]
    positions = shapes[f"{encoder}embeddings.embed_positions.weight"]
    return {
        "vocab_size": vocab_size,
        "hidden_size": width,
        "intermediate_size": shapes[f"{encoder}layers.0.mlp.up_proj.weight"][0],
        "max_position_embeddings": positions[0] - 2,
        "encoder_layers": count_layers(shapes, encoder),
        "layernorm_embedding": f"{encoder}embeddings.norm.weight" in shapes,
        "normalize_before": f"{encoder}norm.weight" in shapes,
    }
