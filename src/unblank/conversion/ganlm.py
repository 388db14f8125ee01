"""The published GanLM layout: a checkpoint of its fairseq, with three stacks and one table.

The encoder's prefix really is `encoder.discriminator.`. The word `<mask>`, the sentinels and
padding rows are appended to the dictionary by the program, so the id of `<mask>` is its length.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unblank.conversion.fairseq import (
    count_layers,
    one_table,
    recorded_arguments,
    rename_in_stack,
    shape_fields,
)
from unblank.conversion.torch_files import read_torch_file
from unblank.models.ganlm import GanLMConfig

__all__ = ["ganlm_state_dict", "infer_ganlm_config", "read_ganlm_checkpoint"]

TABLE = "model.encoder.embed_tokens.weight"
STACKS = {
    "encoder.discriminator.": "model.encoder.",
    "decoder.generator.": "model.decoder.",
    "decoder.discriminator.": "discriminator.decoder.",
}
HEADS = {
    "decoder.discriminator.output_projection.dense.": "discriminator.dense.",
    "decoder.discriminator.output_projection.layer_norm.": "discriminator.norm.",
    "decoder.discriminator.output_projection.": "discriminator.out_proj.",
    "classification_heads.sentence_classification_head.": "",
}
NUM_WORDS_WITHOUT_LINE = 4
"""<s>, <pad>, </s> and <unk> stand before the lines of `dict.txt`."""


def read_ganlm_checkpoint(
    path: Path, *, num_attention_heads: int | None = None, mask_token_id: int | None = None
) -> tuple[GanLMConfig, dict[str, Tensor]]:
    """Return the configuration and the weights of a GanLM checkpoint, under our names.

    Args:
        path: a file of the original program.
        num_attention_heads: None is what the file says, else one for each 64 of the width.
        mask_token_id: id of `<mask>`, from which on no id is content; None counts the lines of
            `dict.txt` beside the file, and leaves it unset where there is none.

    Returns:
        The configuration, and weights for `GanLMForPreTraining`; without the discriminator in the
        file, for `GanLMForConditionalGeneration`; with a classification head, for
        `GanLMForSequenceClassification`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged or hostile file, or unknown keys.
    """
    path = Path(path)
    content = read_torch_file(path)
    module = content.get("model")
    if not isinstance(module, dict):
        raise ValueError(f"{path} holds {', '.join(content)}; a GanLM checkpoint has model")
    if mask_token_id is None and (path.parent / "dict.txt").is_file():
        words = (path.parent / "dict.txt").read_text(encoding="utf-8").splitlines()
        mask_token_id = NUM_WORDS_WITHOUT_LINE + len(words)
    arguments = recorded_arguments(content)
    state_dict = ganlm_state_dict(module)
    if arguments.get("share_generator_discriminator"):
        state_dict = _without_shared(state_dict)
    heads = num_attention_heads or arguments.get("encoder_attention_heads")
    return infer_ganlm_config(state_dict, heads, mask_token_id, arguments), state_dict


def ganlm_state_dict(module: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `module` under our names, its copies of the one embedding table joined.

    Raises:
        ValueError: a key that no GanLM has.
    """
    state_dict: dict[str, Tensor] = {}
    tables: dict[str, Tensor] = {}
    for key, tensor in module.items():
        if key.endswith(".version"):
            continue
        if key.endswith("embed_tokens.weight") or _is_vocabulary_head(key, tensor):
            tables[key] = tensor
        else:
            state_dict[_rename(key)] = tensor
    tables = dict(sorted(tables.items(), key=lambda item: not item[0].startswith("encoder")))
    return {TABLE: one_table(tables), **state_dict}


def infer_ganlm_config(
    state_dict: dict[str, Tensor],
    num_attention_heads: int | None = None,
    mask_token_id: int | None = None,
    arguments: dict[str, Any] | None = None,
) -> GanLMConfig:
    """Return the configuration that the tensors and the recorded arguments imply.

    Args:
        state_dict: from `ganlm_state_dict`.
        num_attention_heads: None is one head for each 64 of the width.
        mask_token_id: id of `<mask>`, from which on no id is content.
        arguments: of the training program, for what tensors do not show.

    Raises:
        ValueError: a tensor that every GanLM has is missing.
    """
    arguments = arguments or {}
    fields = shape_fields(state_dict, "model.encoder.", num_attention_heads)
    bias = state_dict.get("model.encoder.relative_bias.bias.weight")
    judges = count_layers(state_dict, "discriminator.decoder.")
    if "out_proj.weight" in state_dict:
        fields["num_labels"] = state_dict["out_proj.weight"].shape[0]
    return GanLMConfig(
        **fields,
        decoder_layers=count_layers(state_dict, "model.decoder."),
        discriminator_layers=judges or int(arguments.get("discriminator_decoder_layers", 4)),
        share_generator_discriminator=bool(arguments.get("share_generator_discriminator")),
        relative_bias_buckets=0 if bias is None else bias.shape[0],
        scale_embedding=not arguments.get("no_scale_embedding", False),
        hidden_dropout_prob=float(arguments.get("dropout", 0.1)),
        attention_probs_dropout_prob=float(arguments.get("attention_dropout", 0.1)),
        mask_token_id=mask_token_id,
        first_special_id=mask_token_id,
    )


def _is_vocabulary_head(key: str, tensor: Tensor) -> bool:
    """The discriminator's head has two rows; as the only decoder of a file it has the table's."""
    return key.endswith(".output_projection.weight") and (
        key.startswith("decoder.generator.") or tensor.shape[0] > 2
    )


def _rename(key: str) -> str:
    for prefix, ours in HEADS.items():
        if key.startswith(prefix):
            return ours + key.removeprefix(prefix)
    for prefix, ours in STACKS.items():
        if key.startswith(prefix):
            return ours + rename_in_stack(key, key.removeprefix(prefix))
    raise ValueError(f"{key!r} is no key of a GanLM; nothing is dropped silently")


def _without_shared(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the discriminator's copies of what it shares with the generator."""
    kept = {}
    for key, tensor in state_dict.items():
        twin = key.replace("discriminator.decoder.", "model.decoder.")
        if twin == key:
            kept[key] = tensor
        elif twin not in state_dict or not torch.equal(tensor, state_dict[twin]):
            raise ValueError(f"{key} should be shared with the generator but differs from {twin}")
    return kept
