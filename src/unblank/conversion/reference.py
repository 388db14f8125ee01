"""Recorded outputs of an original program, to hold a converted model against.

A file names its tensors `<case>.<name>`; in JSON, `{"<case>": {"<name>": nested lists}}`. A case
has `logits` [B, T, V] and inputs, under the names of this library or of the original programs:

- GLM: `input_ids` or `tokens` [B, T]; `position_ids` [B, 2, T]; `attention_mask`, `mask` or `sep`:
  the length of Part A [B] (one element is for all rows), or a 0/1 mask [B or 1, 1, T, T].
- DeltaLM, GanLM: `input_ids` or `src_tokens` [B, S]; `decoder_input_ids` or `prev_output_tokens`
  [B, T].

Anything else in a file is left aside, and said so: memories, other heads, losses.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.weight_files import tensors_in

__all__ = ["ReferenceCase", "read_reference"]

Tensors = dict[str, Tensor]

TOKEN_NAMES = ("input_ids", "tokens", "src_tokens")
DECODER_NAMES = ("decoder_input_ids", "prev_output_tokens")
MASK_NAMES = ("attention_mask", "mask", "sep")
LOGITS_NAMES = ("logits", "lm_logits")


@dataclass(frozen=True, slots=True)
class ReferenceCase:
    """One recorded forward pass.

    Attributes:
        name: as in the file.
        inputs: keyword arguments of the model.
        logits: [B, T, V] that the original gave.
        tokens: int64[B, T], the tokens at which the logits stand.
    """

    name: str
    inputs: Tensors
    logits: Tensor
    tokens: Tensor


def read_reference(
    path: Path, *, is_encoder_decoder: bool
) -> tuple[list[ReferenceCase], list[str]]:
    """Return the cases that a model can be held against, and the names of the others.

    Args:
        path: `.safetensors`, `.npz` (no pickled arrays) or `.json`.
        is_encoder_decoder: which inputs the model takes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, another format, or no case that can be compared.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give a file of recorded outputs")
    recorded = _by_case(_read(path))
    build = _encoder_decoder_case if is_encoder_decoder else _glm_case
    built = {name: build(name, tensors) for name, tensors in recorded.items()}
    cases = [case for case in built.values() if case is not None]
    if not cases:
        raise ValueError(
            f"{path} has no forward pass to compare with, only {', '.join(recorded) or 'nothing'}; "
            "docs/converting.md describes the file"
        )
    return cases, [name or "(no case)" for name, case in built.items() if case is None]


def _read(path: Path) -> Tensors:
    try:
        if path.suffix == ".safetensors":
            return tensors_in(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        if path.suffix == ".json":
            cases = read_json_object(path)
            return {
                f"{case}.{name}": torch.tensor(values)
                for case, tensors in cases.items()
                for name, values in tensors.items()
            }
    except (SafetensorError, ValueError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"{path} cannot be read as recorded tensors: {error}") from error
    raise ValueError(f"{path} is not a reference file: give .safetensors, .npz or .json")


def _by_case(tensors: Tensors) -> dict[str, Tensors]:
    cases: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        case, _, name = key.rpartition(".")
        cases.setdefault(case, {})[name] = tensor
    return cases


def _glm_case(name: str, tensors: Tensors) -> ReferenceCase | None:
    tokens, mask = _first(tensors, TOKEN_NAMES), _first(tensors, MASK_NAMES)
    logits = _logits(tensors, tokens)
    if tokens is None or logits is None or mask is None or "position_ids" not in tensors:
        return None
    inputs = {"input_ids": tokens, "position_ids": tensors["position_ids"].transpose(0, 1)}
    if mask.dim() == 4:
        inputs["attention_mask"] = mask
    elif mask.dim() <= 1:
        inputs["prefix_lengths"] = mask.expand(tokens.shape[0])
    else:
        return None
    return ReferenceCase(name, inputs, logits, tokens)


def _encoder_decoder_case(name: str, tensors: Tensors) -> ReferenceCase | None:
    source, tokens = _first(tensors, TOKEN_NAMES), _first(tensors, DECODER_NAMES)
    logits = _logits(tensors, tokens)
    if source is None or tokens is None or logits is None:
        return None
    inputs: dict[str, Any] = {"input_ids": source, "decoder_input_ids": tokens}
    return ReferenceCase(name, inputs, logits, tokens)


def _first(tensors: Tensors, names: tuple[str, ...]) -> Tensor | None:
    return next((tensors[name] for name in names if name in tensors), None)


def _logits(tensors: Tensors, tokens: Tensor | None) -> Tensor | None:
    """Return the logits of every token; heads and single steps record others by that name."""
    found = [tensors[name] for name in LOGITS_NAMES if name in tensors]
    if tokens is None:
        return None
    return next((one for one in found if one.dim() == 3 and one.shape[:2] == tokens.shape), None)
