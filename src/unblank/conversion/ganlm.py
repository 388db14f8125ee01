"""The published GanLM layout: a checkpoint of its fairseq, with three stacks and one table.

The encoder's prefix really is `encoder.discriminator.`. The word `<mask>`, the sentinels and
padding rows are appended to the dictionary by the program, so the id of `<mask>` is its length.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

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
from unblank.conversion.plan import ConversionPlan, DroppedKey, PlannedTensor, copied
from unblank.conversion.source import Source
from unblank.models.ganlm import (
    GanLMConfig,
    GanLMForConditionalGeneration,
    GanLMForPreTraining,
    GanLMForSequenceClassification,
)

__all__ = ["plan_ganlm"]

_TABLE = "model.encoder.embed_tokens.weight"
ENCODER, GENERATOR, DISCRIMINATOR = "model.encoder.", "model.decoder.", "discriminator."
_STACKS = {
    "encoder.discriminator.": ENCODER,
    "decoder.generator.": GENERATOR,
    "decoder.discriminator.": "discriminator.decoder.",
}
_HEADS = {
    "decoder.discriminator.output_projection.dense.": "discriminator.dense.",
    "decoder.discriminator.output_projection.layer_norm.": "discriminator.norm.",
    "decoder.discriminator.output_projection.": "discriminator.out_proj.",
    "classification_heads.sentence_classification_head.": "",
}
_JUDGING_HEAD = ("discriminator.dense.", "discriminator.norm.", "discriminator.out_proj.")
_CLASSIFIER = ("dense.", "out_proj.")
_PUBLISHED_JUDGES = 4
"""Layers of the published discriminators, for files without a discriminator."""


def plan_ganlm(source: Source, options: ConvertOptions) -> ConversionPlan:
    """Return the plan of a GanLM checkpoint: the pair, one decoder of it, or a classifier.

    Raises:
        ValueError: unknown keys, tables that are not tied, a part that is not in the file, or a
            vocabulary that does not belong to the weights.
    """
    tensors, arguments = source.tensors, recorded_arguments(source.records)
    tables = {key: tensor for key, tensor in tensors.items() if _is_table(key, tensor)}
    if not tables:
        raise ValueError(f"{source.path} has no embed_tokens.weight: it is not a complete GanLM")
    kept_key, table = list(tables.items())[-1]
    if differing := same_tables(tables, source):
        raise ValueError(
            f"{', '.join(differing)} and {kept_key} of {source.path} differ: a GanLM has one "
            "embedding table"
        )
    names = {key: name for key in tensors if key not in tables and (name := _ganlm_name(key))}
    is_shared = bool(arguments.get("share_generator_discriminator"))
    if options.kept_part == "all" and _writes_with_discriminator(set(names.values()), is_shared):
        judge = _STACKS["decoder.discriminator."]
        names = {key: name.replace(judge, GENERATOR) for key, name in names.items()}
    model_class, unwanted = _choose_model(set(names.values()), options.kept_part, is_shared)
    dropped = drop_markers(tensors) + drop_copies(tables, kept_key)
    fitted = fit_rows(source, options, table.shape[0], arguments=arguments)
    planned = [
        plan_table(_TABLE, kept_key, table, num_rows=fitted.num_rows, num_new=fitted.num_new)
    ]
    for key, name in names.items():
        reason = next((why for prefix, why in unwanted.items() if name.startswith(prefix)), None)
        if reason is None and is_shared:
            reason = _shared_with(key, name, names, tensors)
        if reason is None:
            planned.append(copied(name, key, tensors[key]))
        else:
            dropped.append(DroppedKey(key=key, reason=reason))
    config, evidence = _configuration(planned, is_shared, arguments, options)
    for name, value in fitted.fields.items():
        setattr(config, name, value)
    config.first_special_id = config.mask_token_id
    traps = list(fitted.traps)
    if config.mask_token_id is None:
        traps.append(
            "the row of <mask>, where the tokens that are not content begin, is unknown: to "
            "pretrain, set first_special_id in config.json"
        )
    untrained = _untrained(model_class, planned)
    if untrained:
        traps.append(
            "the checkpoint has no classification head: it is initialised at random and needs "
            "fine-tuning"
        )
    return ConversionPlan(
        model_class=model_class,
        config=config,
        tensors=tuple(planned),
        dropped=tuple(dropped),
        tokenizer=fitted.tokenizer,
        tokenizer_facts=fitted.facts,
        traps=tuple(traps),
        evidence=(*evidence, *fitted.evidence),
        untrained=untrained,
    )


def _ganlm_name(key: str) -> str | None:
    """Return our name of a GanLM's key, except of its embedding tables; None if it has none."""
    for prefix, ours in _HEADS.items():
        if key.startswith(prefix):
            return ours + key.removeprefix(prefix)
    for prefix, ours in _STACKS.items():
        if key.startswith(prefix):
            inner = name_in_stack(key.removeprefix(prefix))
            return None if inner is None else ours + inner
    return None


def _is_table(key: str, tensor: Tensor) -> bool:
    """The discriminator's head has two rows; as the only decoder of a file it has the table's."""
    if key.endswith("embed_tokens.weight"):
        return True
    return key.endswith(".output_projection.weight") and (
        key.startswith("decoder.generator.") or tensor.shape[0] > 2
    )


def _writes_with_discriminator(names: set[str], is_shared: bool) -> bool:
    """Whether the discriminator's layers are a file's only decoder, under no head of their own.

    So the published program saves what it has tuned to write by its strategy "discriminator": the
    embedding table is the output of these layers.
    """
    has_layers = any(name.startswith(_STACKS["decoder.discriminator."]) for name in names)
    others = (GENERATOR, *_JUDGING_HEAD, *_CLASSIFIER)
    return has_layers and not is_shared and not any(name.startswith(others) for name in names)


def _choose_model(
    names: set[str], kept_part: str, is_shared: bool
) -> tuple[type[PreTrainedModel], dict[str, str]]:
    """Return the class to build, and the prefixes of what it has no use for, with the reason."""
    writes, judges = (
        any(name.startswith(prefix) for name in names)
        for prefix in (GENERATOR, "discriminator.decoder.")
    )
    is_classifier = any(name.startswith(_CLASSIFIER) for name in names)
    if is_shared and writes:  # its own are the head's weights only
        judges = is_classifier or any(name.startswith(_JUDGING_HEAD) for name in names)
    found = ", ".join(
        name for name, is_there in (("generator", writes), ("discriminator", judges)) if is_there
    )
    if (kept_part == "generator" and not writes) or (kept_part == "discriminator" and not judges):
        raise ValueError(
            f"--part {kept_part} does not fit: the file has only {found or 'an encoder'}"
        )
    wants_judge = kept_part == "discriminator" or (kept_part == "all" and judges)
    if is_classifier or (wants_judge and not (writes and kept_part == "all")):
        why = "a classifier does not use it"
        other = {GENERATOR: why} if wants_judge else {"discriminator.decoder.": why}
        if is_shared:
            other = {}
        return GanLMForSequenceClassification, other | dict.fromkeys(_JUDGING_HEAD, why)
    if wants_judge:
        return GanLMForPreTraining, {}
    return GanLMForConditionalGeneration, {DISCRIMINATOR: "--part generator leaves it out"}


def _untrained(model_class: type[PreTrainedModel], planned: list[PlannedTensor]) -> tuple[str, ...]:
    """Return the classification head of a discriminator that has not been fine-tuned."""
    if model_class is not GanLMForSequenceClassification:
        return ()
    given = {tensor.name for tensor in planned}
    head = (f"{layer}{part}" for layer in _CLASSIFIER for part in ("weight", "bias"))
    return tuple(name for name in head if name not in given)


def _configuration(
    planned: list[PlannedTensor],
    is_shared: bool,
    arguments: Mapping[str, Any],
    options: ConvertOptions,
) -> tuple[GanLMConfig, list[str]]:
    shapes = {tensor.name: tensor.shape for tensor in planned}
    fields = shape_fields(shapes, ENCODER)
    heads, how = choose_heads(fields["hidden_size"], arguments, options.num_attention_heads)
    judges = count_layers(shapes, "discriminator.decoder.")
    writers = count_layers(shapes, GENERATOR)
    if "out_proj.weight" in shapes:
        fields["num_labels"] = shapes["out_proj.weight"][0]
    config = GanLMConfig(
        **fields,
        num_attention_heads=heads,
        decoder_layers=writers or int(arguments.get("generator_decoder_layers", 12)),
        discriminator_layers=judges
        or int(arguments.get("discriminator_decoder_layers", _PUBLISHED_JUDGES)),
        share_generator_discriminator=is_shared,
        relative_bias_buckets=shapes.get(f"{ENCODER}relative_bias.bias.weight", (0,))[0],
        scale_embedding=not arguments.get("no_scale_embedding", False),
        hidden_dropout_prob=float(arguments.get("dropout", 0.1)),
        attention_probs_dropout_prob=float(arguments.get("attention_dropout", 0.1)),
        classifier_branch="discriminator" if judges or is_shared else "generator",
    )
    size = (
        f"shapes: {config.encoder_layers} encoder, {writers} generator and {judges} discriminator "
        f"layers of width {config.hidden_size}, {config.relative_bias_buckets} relative buckets, "
        f"{config.max_position_embeddings} positions"
    )
    scale = "token embeddings times the square root of the width" * config.scale_embedding
    return config, [line for line in (size, how, scale) if line]


def _shared_with(
    key: str, name: str, names: Mapping[str, str], tensors: Mapping[str, Tensor]
) -> str | None:
    """Return why a discriminator's copy of what it shares with the generator is left out.

    Raises:
        ValueError: the copy differs, or the generator has no such weight.
    """
    if not name.startswith("discriminator.decoder."):
        return None
    twin_name = name.replace("discriminator.decoder.", GENERATOR)
    twin = next((other for other, ours in names.items() if ours == twin_name), None)
    if twin is None or not torch.equal(tensors[key], tensors[twin]):
        raise ValueError(f"{key} should be shared with the generator, but differs from {twin}")
    return f"a copy of {twin}, which it shares"
