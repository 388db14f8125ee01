"""GLM and MultiGLM as published: Megatron checkpoints of both, and the Hugging Face remote code.

All name their tensors alike inside a layer. What no shape shows (heads, GELU, which vocabulary) is
taken from `config.json` where there is one, else from what all published models have in common.
"""

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

from unblank.conversion.glm_vocabulary import fit_tokenizer
from unblank.conversion.heads import checked_heads
from unblank.conversion.key_patterns import KeyPatterns, translated
from unblank.conversion.megatron import check_ranks, merge_ranks, merged_shape
from unblank.conversion.options import ConvertOptions
from unblank.conversion.plan import Action, ConversionPlan, DroppedKey, PlannedTensor, table_shape
from unblank.conversion.source import Source
from unblank.models.glm import (
    GlmInfillConfig,
    GlmInfillForConditionalGeneration,
    GlmInfillForSequenceClassification,
)

__all__ = ["plan_glm"]

_PREFIX = re.compile(r"(module\.|glm\.|model\.)*")
_KEY_PATTERNS: KeyPatterns = (
    (r"(?:transformer\.)?word_embeddings\.weight", "model.embed_tokens.weight"),
    (r"transformer\.position_embeddings\.weight", "model.embed_positions.weight"),
    (r"transformer\.block_position_embeddings\.weight", "model.embed_block_positions.weight"),
    (
        r"mixins\.block_position_embedding\.block_position_embeddings\.weight",
        "model.embed_block_positions.weight",
    ),
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
)
_HEAD_PATTERNS: KeyPatterns = (
    (r"(?:pool_layer|dense)\.(\w+)", r"dense.\1"),
    (r"(?:multichoice_head|out_proj)\.(\w+)", r"out_proj.\1"),
)
"""Head of a fine-tuned classifier, in the original program and in the remote code."""
TABLE, POSITIONS = "model.embed_tokens.weight", "model.embed_positions.weight"
_SOFT_PROMPTS = ("prompt_spell.", "prefix_encoder.")
_HEAD_WIDTH = 64
"""Width of an attention head in every published GLM, which the files do not store."""
_PUBLISHED_WIDTHS = (768, 1024, 1152, 2048, 4096)
_MULTIGLM_HEADS = {1536: 16}
"""Width -> heads of the published MultiGLM, whose heads are 96 wide."""
_UNBUILT_SETTINGS = {"relative_encoding": False, "output_predict": True}


def plan_glm(source: Source, options: ConvertOptions) -> ConversionPlan:
    """Return the plan of a GLM or MultiGLM checkpoint.

    Raises:
        ValueError: pieces that disagree, unknown keys, or sizes that contradict `config.json`.
    """
    originals = {_PREFIX.sub("", key, count=1): key for key in source.state_dicts[0]}
    modules = [_without_prefixes(state_dict) for state_dict in source.state_dicts]
    names = [file.name for file in source.files] if len(modules) > 1 else [source.path.name]
    check_ranks(names, modules)
    pieces = {key: [module[key] for module in modules] for key in modules[0]}
    keeps_head = _keeps_head(source, pieces)
    tensors, dropped = [], []
    for key, parts in pieces.items():
        name = _our_name(key, keeps_head)
        if name is not None:
            tensors.append(_planned(name, key, originals[key], parts, source.release))
        elif reason := _drop_reason(key):
            dropped.append(DroppedKey(key=originals[key], reason=reason))
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    fields, evidence = _fields(shapes, source, options)
    table = next(tensor for tensor in tensors if tensor.name == TABLE)
    fitted = fit_tokenizer(source, options.tokenizer, table)
    return ConversionPlan(
        model_class=(
            GlmInfillForSequenceClassification if keeps_head else GlmInfillForConditionalGeneration
        ),
        config=GlmInfillConfig(**fields, **(fitted.fields if fitted else {})),
        tensors=tuple(tensors),
        dropped=tuple(dropped),
        tokenizer=fitted.tokenizer if fitted else None,
        tokenizer_facts=fitted.facts if fitted else {},
        traps=fitted.traps if fitted else (),
        evidence=tuple(evidence),
    )


def _without_prefixes(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    return {_PREFIX.sub("", key, count=1): tensor for key, tensor in state_dict.items()}


def _keeps_head(source: Source, keys: dict[str, Any]) -> bool:
    """Whether the checkpoint is a classifier; some hub folders hold a stray head beside a GLM."""
    has_head = any(translated(key, _HEAD_PATTERNS) for key in keys)
    names = (source.settings or {}).get("architectures") or ["GLMForSequenceClassification"]
    return has_head and any("Classification" in name for name in names)


def _our_name(key: str, keeps_head: bool) -> str | None:
    name = translated(key, _KEY_PATTERNS)
    if name is None and keeps_head:
        name = translated(key, _HEAD_PATTERNS)
    return name


def _drop_reason(key: str) -> str | None:
    """Return why a key is left out; None leaves it unaccounted for, which is an error."""
    if key.startswith(_SOFT_PROMPTS):
        return "a trained soft prompt, which is not part of the model: tune a new one"
    if translated(key, _HEAD_PATTERNS):
        return "an unused classification head: by its config.json this is not a classifier"
    return None


def _planned(
    name: str, key: str, original: str, parts: list[Tensor], release: Callable[[], None]
) -> PlannedTensor:
    action: Action = "renamed" if len(parts) == 1 else "merged"
    return PlannedTensor(
        name=name,
        shape=merged_shape(key, parts),
        keys=(original,),
        action=action,
        read=lambda: merge_ranks(key, parts, release),
    )


def _fields(
    shapes: dict[str, tuple[int, ...]], source: Source, options: ConvertOptions
) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of the configuration, and lines on how the uncertain ones were found."""
    for name in (TABLE, POSITIONS):
        if name not in shapes:
            raise ValueError(f"{source.path} is not a complete GLM: it has no {name}")
    vocab_size, width = table_shape(TABLE, shapes[TABLE])
    rows, _ = table_shape(POSITIONS, shapes[POSITIONS])
    settings = source.settings or {}
    for name, built in _UNBUILT_SETTINGS.items():
        if settings.get(name, built) is not built:
            raise ValueError(f"config.json has {name} = {settings[name]}, which is not supported")
    layers = {int(name.split(".")[2]) for name in shapes if name.startswith("model.layers.")}
    heads, how = _heads(width, len(layers), source, options.num_attention_heads)
    fields: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": width,
        "num_hidden_layers": len(layers),
        "num_attention_heads": heads,
        "max_position_embeddings": rows - 1,
        "block_position_encoding": "model.embed_block_positions.weight" in shapes,
        "hidden_act": "gelu_pytorch_tanh" if source.settings is None else "gelu",
    }
    for theirs, ours in (
        ("embedding_dropout_prob", "hidden_dropout_prob"),
        ("attention_dropout_prob", "attention_probs_dropout_prob"),
    ):
        if theirs in settings:
            fields[ours] = float(settings[theirs])
    if "out_proj.weight" in shapes:
        fields["num_labels"] = shapes["out_proj.weight"][0]
    _check_settings(source, fields)
    gelu = "tanh GELU, as in the original program"
    if source.settings is not None:
        gelu = "erf GELU, as in the Hugging Face remote code (the original trained with tanh)"
    size = f"{len(layers)} layers of width {width}, {vocab_size} rows, {rows} position rows"
    evidence = [f"shapes: {size}", how, gelu]
    if "num_layers" in settings:
        evidence.append("num_layers in config.json: the remote code, not transformers' own glm")
    return fields, evidence


def _heads(width: int, num_layers: int, source: Source, given: int | None) -> tuple[int, str]:
    """Return the number of heads and how it was found; no tensor shows it."""
    if given is not None:
        heads = checked_heads(given, width, "--num-attention-heads")
        return heads, f"{heads} heads, as given"
    for path, settings in source.settings_nearby():
        sizes = (settings.get("hidden_size"), settings.get("num_layers"))
        is_theirs = settings == source.settings or sizes == (width, num_layers)
        if is_theirs and "num_attention_heads" in settings:
            heads = checked_heads(settings["num_attention_heads"], width, path)
            return heads, f"{heads} heads, as {path} says"
    if width in _MULTIGLM_HEADS:
        heads = _MULTIGLM_HEADS[width]
        return heads, f"{heads} heads, as in the published MultiGLM"
    if width not in _PUBLISHED_WIDTHS:
        raise ValueError(
            f"the number of heads is unknown: no published GLM has width {width}: give "
            "--num-attention-heads"
        )
    heads = width // _HEAD_WIDTH
    return (
        heads,
        f"{heads} heads of width {_HEAD_WIDTH}, as in every published GLM (no tensor shows it)",
    )


def _check_settings(source: Source, fields: dict[str, Any]) -> None:
    """Refuse a `config.json` that belongs to other weights."""
    names = {
        "num_layers": "num_hidden_layers",
        "hidden_size": "hidden_size",
        "vocab_size": "vocab_size",
        "max_sequence_length": "max_position_embeddings",
    }
    for theirs, ours in names.items():
        recorded = (source.settings or {}).get(theirs, fields[ours])
        if recorded != fields[ours]:
            raise ValueError(
                f"config.json of {source.path} has {theirs} = {recorded}, but the weights have "
                f"{fields[ours]}: they do not belong together"
            )
