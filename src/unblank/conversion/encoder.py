"""Pretrained encoders under the names of our `Encoder`: what DeltaLM is initialised from.

Reads transformers folders of XLM-R, InfoXLM, RoBERTa and BERT, fairseq's RoBERTa checkpoints, and
GLM stacks of this library that were trained with the masked-LM objective.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from unblank.conversion.fairseq import (
    choose_heads,
    drop_markers,
    name_in_stack,
    recorded_arguments,
    shape_fields,
)
from unblank.conversion.key_patterns import KeyPatterns, translated
from unblank.conversion.plan import DroppedKey, PlannedTensor, copied
from unblank.conversion.source import Source, open_source
from unblank.deferred_values import UnreadTensor, is_deferring
from unblank.families.table import family_of_model_type
from unblank.models.deltalm import DeltaLMConfig
from unblank.models.encoder_decoder.embeddings import UNUSED_POSITIONS
from unblank.untrusted.opening import config_in

__all__ = ["count_embeddings", "encoder_from_glm", "encoder_parts", "read_encoder"]

EncoderWeights = tuple[dict[str, Any], dict[str, Tensor]]

_TRANSFORMERS_PATTERNS: KeyPatterns = (
    (r"embeddings\.word_embeddings\.weight", "embed_tokens.weight"),
    (r"embeddings\.position_embeddings\.weight", "embeddings.embed_positions.weight"),
    (r"embeddings\.LayerNorm\.(\w+)", r"embeddings.norm.\1"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.(q|k|v)[a-z]+\.(\w+)",
     r"layers.\1.self_attn.\2_proj.\3"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(\w+)", r"layers.\1.self_attn.o_proj.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.(\w+)",
     r"layers.\1.self_attn_norm.\2"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.(\w+)", r"layers.\1.mlp.up_proj.\2"),
    (r"encoder\.layer\.(\d+)\.output\.dense\.(\w+)", r"layers.\1.mlp.down_proj.\2"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm\.(\w+)", r"layers.\1.mlp_norm.\2"),
)  # fmt: skip
_GLM_PATTERNS: KeyPatterns = (
    (r"embed_tokens\.weight", "embed_tokens.weight"),
    (r"norm\.(\w+)", r"norm.\1"),
    (r"(layers\.\d+\.)input_layernorm\.(\w+)", r"\1self_attn_norm.\2"),
    (r"(layers\.\d+\.)post_attention_layernorm\.(\w+)", r"\1mlp_norm.\2"),
    (r"(layers\.\d+\.)(self_attn\.o_proj\.\w+)", r"\1\2"),
    (r"(layers\.\d+\.)(mlp\.\w+\.\w+)", r"\1\2"),
)
_HEADS = re.compile(
    r"(?:encoder\.|decoder\.)?(lm_head|pooler|cls|classifier|classification_heads)\."
    r"|.*position_ids$|.*\.version$"
)
"""Prefixes of the weights of an encoder checkpoint that are not part of the encoder."""
_TOKEN_TYPES = "embeddings.token_type_embeddings.weight"
_FAIRSEQ_PREFIXES = ("encoder.sentence_encoder.", "decoder.sentence_encoder.")
_POSITIONS = "embeddings.embed_positions.weight"
_PADDED_POSITION_TYPES = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl")
"""Model types whose position table has two rows before that of the first token, like ours."""
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_pytorch_tanh",
    "gelu_pytorch_tanh": "gelu_pytorch_tanh",
}
_SIZES = {
    "hidden_size": "hidden_size",
    "num_hidden_layers": "encoder_layers",
    "intermediate_size": "intermediate_size",
}
"""Fields of config.json that the shapes of the weights show, and ours."""


def read_encoder(path: Path) -> EncoderWeights:
    """Return the configuration fields and the weights of a pretrained encoder.

    Args:
        path: a transformers folder (`config.json` with safetensors or `pytorch_model.bin`), or a
            `.pt` file of fairseq's RoBERTa.

    Returns:
        Fields of `EncoderDecoderConfig`, and tensors under the names of `Encoder`: memory-mapped,
        or read when their values are made, where values are deferred.

    Raises:
        FileNotFoundError: nothing to read there.
        ValueError: damaged or hostile file, unknown keys, sizes that the weights do not have, or a
            model type that is not an encoder.
    """
    source = open_source(Path(path))
    settings = source.settings or {}
    family = family_of_model_type(settings.get("model_type"))
    if family is not None and family.gives_encoder:
        fields, weights = encoder_from_glm(config_in(Path(path)).to_dict(), source.tensors)
    else:
        fields, parts, _ = encoder_parts(source, None)
        weights = {name: part.read() for name, part in parts.items()}
    if is_deferring():
        weights = {name: _deferred(tensor, source) for name, tensor in weights.items()}
    return fields, weights


def _deferred(tensor: Tensor, source: Source) -> Tensor:
    """Return a tensor whose values are read when they are made; its pages stay until the next."""

    def read() -> Tensor:
        source.release()
        return tensor

    return UnreadTensor(tensor.shape, read).to(dtype=tensor.dtype)


def count_embeddings(fields: dict[str, Any], weights: dict[str, Tensor]) -> int:
    """Return how many tokens an encoder has embeddings for, without rows that only pad them."""
    return int(fields.get("tokenizer_size") or weights["embed_tokens.weight"].shape[0])


def encoder_from_glm(settings: dict[str, Any], state_dict: dict[str, Tensor]) -> EncoderWeights:
    """Return a GLM stack as an encoder: all tokens are Part A, so the span position is always 0.

    Args:
        settings: the GLM's configuration as a dictionary.
        state_dict: the GLM's weights, with or without a head.

    Raises:
        ValueError: unknown keys, or sizes that the weights do not have.
    """
    renamed: dict[str, Tensor] = {}
    tables: dict[str, Tensor] = {}
    for key, tensor in state_dict.items():
        name = key.removeprefix("model.")
        if name.startswith(("lm_head.", "dense.", "out_proj.", "generator.", "head.")):
            continue
        if name in ("embed_positions.weight", "embed_block_positions.weight"):
            tables[name] = tensor
        elif ".qkv_proj." in name:
            for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                renamed[name.replace("qkv_proj", f"{letter}_proj")] = third
        else:
            if (ours := translated(name, _GLM_PATTERNS)) is None:
                raise ValueError(
                    f"{key!r} is not a weight of a GLM: only weights that are known to be unused "
                    "are left out"
                )
            renamed[ours] = tensor
    positions = tables["embed_positions.weight"]
    if "embed_block_positions.weight" in tables:
        positions = positions + tables["embed_block_positions.weight"][0]
    renamed[_POSITIONS] = _with_unused_rows(positions)
    fields = shape_fields({name: tuple(tensor.shape) for name, tensor in renamed.items()}, "")
    _require_sizes(settings, fields)
    heads = {"num_attention_heads": settings["num_attention_heads"]}
    return fields | heads | _known(settings) | _glm_tokens(settings), renamed


def encoder_parts(
    source: Source, num_heads: int | None
) -> tuple[dict[str, Any], dict[str, PlannedTensor], list[DroppedKey]]:
    """Return the configuration fields, the tensors under the names of `Encoder`, and the rest.

    Args:
        source: the encoder.
        num_heads: as the user gives them; None if the files or the published models say it.

    Raises:
        ValueError: unknown keys, or fields that are impossible or not those of the weights.
    """
    parts: dict[str, PlannedTensor] = {}
    dropped = drop_markers(source.tensors)
    is_fairseq = source.settings is None
    for key, tensor in source.tensors.items():
        if key.endswith(".version"):
            continue
        name = _without_prefix(key, is_fairseq)
        if _HEADS.match(name):
            dropped.append(DroppedKey(key=key, reason="a head of the encoder, or a constant"))
        elif ".in_proj_" in name:
            for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                path = name.replace("in_proj_", f"{letter}_proj.")
                ours = _translate(key, path, source)
                parts[ours] = replace(copied(ours, key, third), action="split")
        else:
            ours = _TOKEN_TYPES if name == _TOKEN_TYPES else _translate(key, name, source)
            parts[ours] = copied(ours, key, tensor)
    _finish_positions(parts, source.settings)
    fields = shape_fields({name: part.shape for name, part in parts.items()}, "")
    _require_sizes(source.settings or {}, fields)
    fields |= _other_fields(fields["hidden_size"], source, num_heads)
    _require_possible(fields, source.path)
    return fields, parts, dropped


def _require_possible(fields: dict[str, Any], path: Path) -> None:
    """Refuse fields that no model can have, which come from the encoder's own configuration."""
    try:
        DeltaLMConfig(**fields)
    except (StrictDataclassError, TypeError, ValueError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ValueError(f"{path} has an impossible configuration: {reason}") from error


def _require_sizes(settings: dict[str, Any], fields: dict[str, Any]) -> None:
    for theirs, ours in _SIZES.items():
        if settings.get(theirs) not in (None, fields[ours]):
            raise ValueError(
                f"{theirs} is {settings[theirs]} in the encoder's config.json, but {fields[ours]} "
                "in its weights: the folder is incomplete, or mixes two models"
            )


def _without_prefix(key: str, is_fairseq: bool) -> str:
    if not is_fairseq:
        return re.sub(r"^(roberta|bert|xlm_roberta)\.", "", key)
    return next(
        (key.removeprefix(prefix) for prefix in _FAIRSEQ_PREFIXES if key.startswith(prefix)), key
    )


def _other_fields(width: int, source: Source, num_heads: int | None) -> dict[str, Any]:
    """Return the fields that no shape shows."""
    if source.settings is not None:
        recorded = {"encoder_attention_heads": source.settings.get("num_attention_heads")}
        heads = {"num_attention_heads": choose_heads(width, recorded, num_heads)[0]}
        return heads | _known(source.settings) | _transformers_tokens(source.settings)
    arguments = recorded_arguments(source.records)
    return {
        "num_attention_heads": choose_heads(width, arguments, num_heads)[0],
        "hidden_dropout_prob": float(arguments.get("dropout", 0.1)),
        "attention_probs_dropout_prob": float(arguments.get("attention_dropout", 0.1)),
    }


def _finish_positions(parts: dict[str, PlannedTensor], settings: dict[str, Any] | None) -> None:
    """Give the table of positions what is always added to it, and the two rows of padding."""
    if _POSITIONS not in parts:
        raise ValueError("the encoder has no learned positions: give an encoder like XLM-R or BERT")
    types = parts.pop(_TOKEN_TYPES, None)
    positions = parts[_POSITIONS]
    read, keys, reason = positions.read, positions.keys, ""
    if types is not None:  # every token is of type 0
        first = types.read()[0]
        read = _sum_with(positions.read, first)
        keys, reason = (*keys, *types.keys), "with the first token type, that of every token, added"
    padded = settings is None or settings.get("model_type") in _PADDED_POSITION_TYPES
    if not padded:
        read, reason = (
            _with_padding(read),
            f"{reason}; with two rows for padding in front".lstrip("; "),
        )
    rows = positions.shape[0] + (0 if padded else UNUSED_POSITIONS)
    parts[_POSITIONS] = replace(
        positions, shape=(rows, positions.shape[1]), read=read, keys=keys, reason=reason,
        action="changed" if reason else positions.action,
    )  # fmt: skip


def _sum_with(read: Callable[[], Tensor], row: Tensor) -> Callable[[], Tensor]:
    return lambda: read() + row


def _with_padding(read: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return lambda: _with_unused_rows(read())


def _translate(key: str, name: str, source: Source) -> str:
    is_fairseq = source.settings is None
    ours = name_in_stack(name) if is_fairseq else translated(name, _TRANSFORMERS_PATTERNS)
    if ours is None:
        raise ValueError(
            f"{source.path} has {key!r}, which is not a weight of a supported encoder: only "
            "weights that are known to be unused are left out"
        )
    return ours


def _with_unused_rows(positions: Tensor) -> Tensor:
    rows = positions.new_zeros((UNUSED_POSITIONS, positions.shape[1]))
    return torch.cat([rows, positions])


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have the same name here and in transformers."""
    activation = settings.get("hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        raise ValueError(f"the encoder's hidden_act is {activation!r}: only GELU is supported")
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps")
    known = {name: settings[name] for name in names if name in settings}
    return known | {"hidden_act": _ACTIVATIONS[activation]}


def _transformers_tokens(settings: dict[str, Any]) -> dict[str, Any]:
    if settings.get("model_type") not in _PADDED_POSITION_TYPES:  # BERT's files name only padding
        return {"pad_token_id": settings.get("pad_token_id", 0)} | dict.fromkeys(
            ("bos_token_id", "eos_token_id", "unk_token_id", "decoder_start_token_id")
        )
    names = ("bos_token_id", "pad_token_id", "eos_token_id")
    tokens = {name: settings[name] for name in names if name in settings}
    return tokens | {"decoder_start_token_id": settings.get("eos_token_id", 2)}


def _glm_tokens(settings: dict[str, Any]) -> dict[str, Any]:
    """A target starts with the start of a piece and ends with its end, as in the GLM itself."""
    return {
        "tokenizer_size": settings.get("tokenizer_size"),
        "bos_token_id": settings.get("cls_token_id"),
        "pad_token_id": settings.get("pad_token_id"),
        "eos_token_id": settings.get("eop_token_id"),
        "unk_token_id": settings.get("unk_token_id"),
        "mask_token_id": settings.get("mask_token_id"),
        "decoder_start_token_id": settings.get("sop_token_id"),
    }
