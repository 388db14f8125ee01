"""Pretrained encoders under the names of our `Encoder`: what DeltaLM is initialised from.

Reads transformers folders of XLM-R, InfoXLM, RoBERTa and BERT, fairseq's RoBERTa checkpoints, and
GLM stacks of this library that were trained with the masked-LM objective.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from unblank.conversion.fairseq import recorded_arguments, rename_in_stack, shape_fields
from unblank.conversion.torch_files import read_torch_file
from unblank.models.encoder_decoder.embeddings import UNUSED_POSITIONS

__all__ = ["encoder_from_glm", "read_encoder"]

EncoderWeights = tuple[dict[str, Any], dict[str, Tensor]]

TRANSFORMERS_PATTERNS: tuple[tuple[str, str], ...] = (
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
GLM_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"embed_tokens\.weight", "embed_tokens.weight"),
    (r"norm\.(\w+)", r"norm.\1"),
    (r"(layers\.\d+\.)input_layernorm\.(\w+)", r"\1self_attn_norm.\2"),
    (r"(layers\.\d+\.)post_attention_layernorm\.(\w+)", r"\1mlp_norm.\2"),
    (r"(layers\.\d+\.)(self_attn\.o_proj\.\w+)", r"\1\2"),
    (r"(layers\.\d+\.)(mlp\.\w+\.\w+)", r"\1\2"),
)
HEADS = re.compile(r"(?:encoder\.)?(lm_head|pooler|cls|classifier)\.|.*position_ids$|.*\.version$")
"""What an encoder checkpoint holds besides the encoder."""
TOKEN_TYPES = "embeddings.token_type_embeddings.weight"
FAIRSEQ_PREFIXES = ("encoder.sentence_encoder.", "decoder.sentence_encoder.")
POSITIONS = "embeddings.embed_positions.weight"
PADDED_POSITION_TYPES = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl")
"""Model types whose position table has two rows before that of the first token, like ours."""
ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_pytorch_tanh"} | {
    "gelu_pytorch_tanh": "gelu_pytorch_tanh"
}


def read_encoder(path: Path) -> EncoderWeights:
    """Return the configuration fields and the weights of a pretrained encoder.

    Args:
        path: a transformers folder (`config.json` with safetensors or `pytorch_model.bin`), or a
            `.pt` file of fairseq's RoBERTa.

    Returns:
        Fields of `EncoderDecoderConfig`, and tensors under the names of `Encoder`.

    Raises:
        FileNotFoundError: nothing to read there.
        ValueError: damaged or hostile file, unknown keys, or a model type that is no encoder.
    """
    path = Path(path)
    if path.is_file():
        return _from_fairseq(read_torch_file(path))
    if not (path / "config.json").is_file():
        raise FileNotFoundError(
            f"{path} is neither a checkpoint file nor a folder with config.json"
        )
    settings = json.loads((path / "config.json").read_text(encoding="utf-8"))
    state_dict = _folder_tensors(path)
    if settings.get("model_type") in ("glm_infill", "electra_infill"):
        return encoder_from_glm(settings, state_dict)
    return _from_transformers(settings, state_dict)


def encoder_from_glm(settings: dict[str, Any], state_dict: dict[str, Tensor]) -> EncoderWeights:
    """Return a GLM stack as an encoder: all tokens are Part A, so the span position is always 0.

    Args:
        settings: the GLM's configuration as a dictionary.
        state_dict: the GLM's weights, with or without a head.

    Raises:
        ValueError: unknown keys.
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
            renamed[_translate(key, name, GLM_PATTERNS)] = tensor
    positions = tables["embed_positions.weight"]
    if "embed_block_positions.weight" in tables:
        positions = positions + tables["embed_block_positions.weight"][0]
    renamed[POSITIONS] = _with_unused_rows(positions)
    fields = shape_fields(renamed, "", settings["num_attention_heads"])
    return fields | _known(settings) | _glm_tokens(settings), renamed


def _from_transformers(settings: dict[str, Any], state_dict: dict[str, Tensor]) -> EncoderWeights:
    renamed: dict[str, Tensor] = {}
    token_types: Tensor | None = None
    for key, tensor in state_dict.items():
        name = re.sub(r"^(roberta|bert|xlm_roberta)\.", "", key)
        if HEADS.match(name):
            continue
        if name == TOKEN_TYPES:
            token_types = tensor
        else:
            renamed[_translate(key, name, TRANSFORMERS_PATTERNS)] = tensor
    if POSITIONS not in renamed:
        raise ValueError("the encoder has no learned positions; XLM-R and BERT-like ones have")
    if token_types is not None:  # every token is of type 0
        renamed[POSITIONS] = renamed[POSITIONS] + token_types[0]
    if settings.get("model_type") not in PADDED_POSITION_TYPES:
        renamed[POSITIONS] = _with_unused_rows(renamed[POSITIONS])
    fields = shape_fields(renamed, "", settings["num_attention_heads"])
    return fields | _known(settings) | _transformers_tokens(settings), renamed


def _from_fairseq(content: dict[str, Any]) -> EncoderWeights:
    arguments = recorded_arguments(content)
    renamed: dict[str, Tensor] = {}
    for key, tensor in content.get("model", content).items():
        prefix = next((prefix for prefix in FAIRSEQ_PREFIXES if key.startswith(prefix)), "")
        if key.endswith(".version") or (not prefix and ".lm_head." in f".{key}"):
            continue
        path = key.removeprefix(prefix)
        if ".in_proj_" in path:
            for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                renamed[path.replace("in_proj_", f"{letter}_proj.")] = third
        else:
            renamed[rename_in_stack(key, path)] = tensor
    fields = shape_fields(renamed, "", arguments.get("encoder_attention_heads"))
    fields["hidden_dropout_prob"] = float(arguments.get("dropout", 0.1))
    fields["attention_probs_dropout_prob"] = float(arguments.get("attention_dropout", 0.1))
    return fields, renamed


def _translate(key: str, name: str, patterns: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in patterns:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    raise ValueError(f"{key!r} is no key of an encoder known here; nothing is dropped silently")


def _with_unused_rows(positions: Tensor) -> Tensor:
    rows = positions.new_zeros((UNUSED_POSITIONS, positions.shape[1]))
    return torch.cat([rows, positions])


def _folder_tensors(folder: Path) -> dict[str, Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return {key: tensor for file in files for key, tensor in load_file(file).items()}
    files = sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise FileNotFoundError(f"{folder} has neither *.safetensors nor pytorch_model*.bin")
    return {key: tensor for file in files for key, tensor in read_torch_file(file).items()}


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have the same name here and in transformers."""
    activation = settings.get("hidden_act", "gelu")
    if activation not in ACTIVATIONS:
        raise ValueError(f"hidden_act {activation!r} of the encoder: only GELU is built here")
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps")
    known = {name: settings[name] for name in names if name in settings}
    return known | {"hidden_act": ACTIVATIONS[activation]}


def _transformers_tokens(settings: dict[str, Any]) -> dict[str, Any]:
    if settings.get("model_type") not in PADDED_POSITION_TYPES:  # BERT's files name only padding
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
