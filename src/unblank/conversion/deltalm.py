"""The published DeltaLM layouts: the released weights, and checkpoints of fairseq's trainer.

Released files hold `{"weights": ...}` with `src_embedding`, `tgt_embedding`, `ffn_1` and `ffn_2`;
fine-tuned ones hold `{"model": ..., "cfg": ...}` with `fc1` to `fc4`.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from unblank.conversion.fairseq import (
    count_layers,
    cut_rows,
    one_table,
    recorded_arguments,
    rename_in_stack,
    shape_fields,
)
from unblank.conversion.torch_files import read_torch_file
from unblank.models.deltalm import DeltaLMConfig

__all__ = ["deltalm_state_dict", "infer_deltalm_config", "read_deltalm_checkpoint"]

STACKS = {
    "src_embedding.": "model.encoder.",
    "tgt_embedding.": "model.decoder.",
    "encoder.": "model.encoder.",
    "decoder.": "model.decoder.",
}
BUFFERS = ("encoder.version", "decoder.version")
TABLE = "model.encoder.embed_tokens.weight"


def read_deltalm_checkpoint(
    path: Path,
    *,
    num_attention_heads: int | None = None,
    vocab_size: int | None = None,
    max_position_embeddings: int | None = None,
    first_ffn_on_top: bool = False,
) -> tuple[DeltaLMConfig, dict[str, Tensor]]:
    """Return the configuration and the weights of a DeltaLM file, under our names.

    Args:
        path: `deltalm-base.pt`, or a checkpoint of a fine-tuned model.
        num_attention_heads: None is what the file says, else one for each 64 of the width.
        vocab_size: keep only that many rows of the table; None keeps all.
        max_position_embeddings: keep only that many positions; None keeps all.
        first_ffn_on_top: read `ffn_1` as the feed-forward after the cross-attention, as the first
            release of the loader did; the current one reads it as the one before.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged or hostile file, unknown keys, or fewer rows than asked for.
    """
    content = read_torch_file(Path(path))
    module = content.get("weights", content.get("model"))
    if not isinstance(module, dict):
        raise ValueError(f"{path} holds {', '.join(content)}; a DeltaLM file has weights or model")
    state_dict = deltalm_state_dict(module, first_ffn_on_top)
    state_dict[TABLE] = cut_rows("the embedding table", state_dict[TABLE], vocab_size)
    for key in state_dict:
        if key.endswith("embed_positions.weight") and max_position_embeddings is not None:
            state_dict[key] = cut_rows(key, state_dict[key], max_position_embeddings + 2)
    arguments = recorded_arguments(content)
    heads = num_attention_heads or arguments.get("encoder_attention_heads")
    return infer_deltalm_config(state_dict, heads, arguments), state_dict


def deltalm_state_dict(
    module: dict[str, Tensor], first_ffn_on_top: bool = False
) -> dict[str, Tensor]:
    """Return `module` under our names, its copies of the one embedding table joined.

    Raises:
        ValueError: a key that no DeltaLM has.
    """
    top, bottom = ("ffn_1", "ffn_2") if first_ffn_on_top else ("ffn_2", "ffn_1")
    released = {
        f".{bottom}.fc1.": ".fc3.", f".{bottom}.fc2.": ".fc4.", f".{top}.": ".", ".ffn.": "."
    }  # fmt: skip
    state_dict: dict[str, Tensor] = {}
    tables: dict[str, Tensor] = {}
    for key, tensor in module.items():
        if key in BUFFERS:
            continue
        if key.endswith("embed_tokens.weight") or key == "decoder.output_projection.weight":
            tables[key] = tensor
            continue
        name = key
        for part, replacement in released.items():
            name = name.replace(part, replacement)
        prefix = next((prefix for prefix in STACKS if name.startswith(prefix)), "")
        if not prefix:
            raise ValueError(f"{key!r} is no key of a DeltaLM; nothing is dropped silently")
        state_dict[STACKS[prefix] + rename_in_stack(key, name.removeprefix(prefix))] = tensor
    ordered = sorted(tables.items(), key=lambda item: item[0].startswith(("tgt", "decoder")))
    return {TABLE: one_table(dict(ordered)), **state_dict}


def infer_deltalm_config(
    state_dict: dict[str, Tensor],
    num_attention_heads: int | None = None,
    arguments: dict[str, Any] | None = None,
) -> DeltaLMConfig:
    """Return the configuration that the tensors and the recorded arguments imply.

    Args:
        state_dict: from `deltalm_state_dict`.
        num_attention_heads: None is one head for each 64 of the width.
        arguments: of the training program, for what tensors do not show.

    Raises:
        ValueError: a tensor that every DeltaLM has is missing.
    """
    arguments = arguments or {}
    return DeltaLMConfig(
        **shape_fields(state_dict, "model.encoder.", num_attention_heads),
        decoder_layers=count_layers(state_dict, "model.decoder."),
        interleaved_decoder="model.decoder.layers.0.bottom_mlp.up_proj.weight" in state_dict,
        scale_embedding=not arguments.get("no_scale_embedding", True),
        hidden_dropout_prob=float(arguments.get("dropout", 0.1)),
        attention_probs_dropout_prob=float(arguments.get("attention_dropout", 0.0)),
    )
