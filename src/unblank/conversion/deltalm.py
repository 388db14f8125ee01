"""The published DeltaLM layouts: the released weights, and checkpoints of fairseq's trainer.

Released files hold `{"weights": ...}` with `src_embedding`, `tgt_embedding`, `ffn_1` and `ffn_2`;
fine-tuned ones hold `{"model": ..., "cfg": ...}` with `fc1` to `fc4`.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cosine_similarity

from unblank.conversion.fairseq import (
    choose_heads,
    count_layers,
    drop_copies,
    drop_markers,
    name_in_stack,
    plan_table,
    recorded_arguments,
    same_tables,
    shape_fields,
)
from unblank.conversion.fairseq_vocabulary import fit_rows
from unblank.conversion.options import ConvertOptions
from unblank.conversion.plan import ConversionPlan, PlannedTensor, copied
from unblank.conversion.source import Source
from unblank.models.deltalm import DeltaLMConfig, DeltaLMForConditionalGeneration

__all__ = ["plan_deltalm"]

_STACKS = {
    "src_embedding.": "model.encoder.",
    "tgt_embedding.": "model.decoder.",
    "encoder.": "model.encoder.",
    "decoder.": "model.decoder.",
}
_TABLE = "model.encoder.embed_tokens.weight"
_TABLE_KEY = re.compile(r".*embed_tokens\.weight|decoder\.output_projection\.weight")
_RELEASED = re.compile(r"(src|tgt)_embedding\.")
_CLEAR_DIFFERENCE = 0.05
"""Least difference of cosines that is taken as evidence of the order of the feed-forward layers."""


def plan_deltalm(source: Source, options: ConvertOptions) -> ConversionPlan:
    """Return the plan of a DeltaLM file.

    Raises:
        ValueError: unknown keys, a table that should be tied but is not, or a vocabulary that does
            not belong to the weights.
    """
    tensors, arguments = source.tensors, recorded_arguments(source.records)
    is_released = any(map(_RELEASED.match, tensors))
    tables = {key: tensor for key, tensor in tensors.items() if _TABLE_KEY.fullmatch(key)}
    # Encoder and decoder share one parameter, into which fairseq loads the decoder's copy last.
    tables = dict(sorted(tables.items(), key=lambda item: item[0].startswith(("tgt", "decoder"))))
    if not tables:
        raise ValueError(f"{source.path} has no embed_tokens.weight: it is not a complete DeltaLM")
    kept_key, table = list(tables.items())[-1]
    traps = _check_tables(tables, source, is_released)
    fitted = fit_rows(source, options, table.shape[0], arguments=arguments)
    planned = [
        plan_table(_TABLE, kept_key, table, num_rows=fitted.num_rows, num_new=fitted.num_new)
    ]
    for key, tensor in tensors.items():
        name = None if key in tables else deltalm_name(key, options.ffn_order == "first-release")
        if name is not None:
            planned.append(copied(name, key, tensor))
    dropped = drop_markers(tensors) + drop_copies(tables, kept_key)
    config, evidence = _configuration(planned, arguments, options)
    for name, value in fitted.fields.items():
        setattr(config, name, value)
    if is_released:
        line, trap = _check_order(tensors, options.ffn_order or "current")
        evidence, traps = [*evidence, line], [*traps, *trap]
    return ConversionPlan(
        model_class=DeltaLMForConditionalGeneration,
        config=config,
        tensors=tuple(planned),
        dropped=tuple(dropped),
        tokenizer=fitted.tokenizer,
        tokenizer_facts=fitted.facts,
        traps=(*traps, *fitted.traps),
        evidence=(*evidence, *fitted.evidence),
    )


def deltalm_name(key: str, first_ffn_on_top: bool = False) -> str | None:
    """Return our name of a DeltaLM's key, except of its embedding tables; None if it has none.

    Args:
        key: of either layout.
        first_ffn_on_top: read `ffn_1` as the feed-forward after the cross-attention, as the first
            release of the loader did; the current one reads it as the one before.
    """
    top, bottom = ("ffn_1", "ffn_2") if first_ffn_on_top else ("ffn_2", "ffn_1")
    released = {
        f".{bottom}.fc1.": ".fc3.", f".{bottom}.fc2.": ".fc4.", f".{top}.": ".", ".ffn.": "."
    }  # fmt: skip
    name = key
    for part, replacement in released.items():
        name = name.replace(part, replacement)
    prefix = next((prefix for prefix in _STACKS if name.startswith(prefix)), None)
    inner = None if prefix is None else name_in_stack(name.removeprefix(prefix))
    return None if prefix is None or inner is None else _STACKS[prefix] + inner


def _configuration(
    planned: list[PlannedTensor], arguments: Mapping[str, Any], options: ConvertOptions
) -> tuple[DeltaLMConfig, list[str]]:
    shapes = {tensor.name: tensor.shape for tensor in planned}
    fields = shape_fields(shapes, "model.encoder.")
    heads, how = choose_heads(fields["hidden_size"], arguments, options.num_attention_heads)
    config = DeltaLMConfig(
        **fields,
        num_attention_heads=heads,
        decoder_layers=count_layers(shapes, "model.decoder."),
        interleaved_decoder="model.decoder.layers.0.bottom_mlp.up_proj.weight" in shapes,
        scale_embedding=not arguments.get("no_scale_embedding", True),
        hidden_dropout_prob=float(arguments.get("dropout", 0.1)),
        attention_probs_dropout_prob=float(arguments.get("attention_dropout", 0.0)),
    )
    norms = "with" if config.layernorm_embedding else "without"
    size = (
        f"shapes: {config.encoder_layers} + {config.decoder_layers} layers of width "
        f"{config.hidden_size}, {config.max_position_embeddings} positions, {norms} a LayerNorm "
        f"over the embeddings, {'pre' if config.normalize_before else 'post'}-LN"
    )
    return config, [size, how]


def _check_tables(tables: dict[str, Tensor], source: Source, is_released: bool) -> list[str]:
    """Return a line about tables that are not tied but should be.

    Raises:
        ValueError: a trained model whose tables differ, which one table cannot stand for.
    """
    differing = same_tables(tables, source)
    if not differing:
        return []
    last = list(tables)[-1]
    if not is_released:
        raise ValueError(
            f"{', '.join(differing)} and {last} of {source.path} differ: a model trained with "
            "separate embedding tables is not supported"
        )
    return [f"{', '.join(differing)} differs from {last}; the latter is used, as fairseq does"]


def _check_order(tensors: Mapping[str, Tensor], order: str) -> tuple[str, list[str]]:
    """Return a line on which feed-forward layer `ffn_1` is, and one if that speaks against `order`.

    Decoder layer j started from encoder layers 2j (its lower half) and 2j + 1 (its upper half), so
    `ffn_1` still resembles one of the two in the file's own encoder, if it was trained from there.
    """
    likeness = _likeness(tensors)
    if likeness is None:
        return "ffn_1: no encoder layers to compare it with", []
    lower, upper = likeness
    line = (
        f"ffn_1 is read as the feed-forward {'after' if order == 'first-release' else 'before'} "
        f"the cross-attention; its cosine with encoder layers 2j is {lower:.3f}, with 2j + 1 "
        f"{upper:.3f}"
    )
    if not abs(lower - upper) >= _CLEAR_DIFFERENCE:  # nor is a number that is not finite
        return f"{line}: no evidence either way", []
    found = "current" if lower > upper else "first-release"
    if found == order:
        return f"{line}, which agrees", []
    return line, [
        f"the weights suggest --ffn-order {found} ({line}): try both on text, the wrong one "
        "fills blanks far worse"
    ]


def _likeness(tensors: Mapping[str, Tensor]) -> tuple[float, float] | None:
    """Return the mean cosine of `ffn_1.fc1` with the encoder layers 2j, and with 2j + 1."""
    lower: list[float] = []
    upper: list[float] = []
    layer = 0
    while (key := f"decoder.layers.{layer}.ffn_1.fc1.weight") in tensors:
        pair = [f"encoder.layers.{2 * layer + half}.ffn.fc1.weight" for half in (0, 1)]
        if not all(name in tensors and tensors[name].shape == tensors[key].shape for name in pair):
            break
        first = tensors[key].float().flatten()
        for name, cosines in zip(pair, (lower, upper), strict=True):
            other = tensors[name].float().flatten()
            cosines.append(float(cosine_similarity(first, other, dim=0)))
        layer += 1
    return (sum(lower) / layer, sum(upper) / layer) if layer else None
