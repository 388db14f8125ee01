"""Recorded outputs of an original program, to hold a converted model against.

A file names its tensors `<case>.<name>`; in JSON, `{"<case>": {"<name>": nested lists}}`. A case
has `logits` [B, T, V] and inputs, under the names of this library or of the original programs:

- GLM: `input_ids` or `tokens` [B, T]; `position_ids` [B, 2, T]; `attention_mask`, `mask` or `sep`:
  the length of Part A [B] (one element is for all rows), or a 0/1 mask [B or 1, 1, T, T].
- DeltaLM, GanLM: `input_ids` or `src_tokens` [B, S]; `decoder_input_ids`, `prev_output_tokens` or
  `tgt_tokens` [B, T].
- GanLM also, as its training records them: `generator_logits`; `denoising_logits` of
  `denoising_decoder_input` [B, T]; `discriminator_logits` [B, T, 2] of `input_tokens` [B, T].

A case without tokens has those of the case whose name begins its own (`pretrain_run0` of
`pretrain`), or of the only one that fits its logits. Anything else in a file is left aside, and
said so: memories, other heads, losses.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.npz import arrays_in
from unblank.untrusted.weight_files import tensors_in

__all__ = ["ReferenceCase", "read_reference"]

Tensors = dict[str, Tensor]

_TOKEN_NAMES = ("input_ids", "tokens", "src_tokens")
_DECODER_NAMES = ("decoder_input_ids", "prev_output_tokens", "tgt_tokens")
_MASK_NAMES = ("attention_mask", "mask", "sep")
_LOGITS_NAMES = ("logits", "lm_logits", "generator_logits")
_SHARED_NAMES = (*_TOKEN_NAMES, *_DECODER_NAMES, "position_ids")

Output = Literal["logits", "discriminator_logits"]


@dataclass(frozen=True, slots=True)
class ReferenceCase:
    """One recorded forward pass.

    Attributes:
        name: as in the file.
        inputs: keyword arguments of the model, or of its discriminator.
        logits: [B, T, V] that the original gave, or [B, T, 2].
        tokens: int64[B, T], the tokens at which the logits stand.
        is_hidden: bool[B, T], True where the mask hides a token even from itself: padding.
        output: what was recorded.
    """

    name: str
    inputs: Tensors
    logits: Tensor
    tokens: Tensor
    is_hidden: Tensor
    output: Output = "logits"


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
        raise FileNotFoundError(f"{path} is not a file: give one of recorded outputs")
    recorded = _by_case(_read(path))
    build = _encoder_decoder_cases if is_encoder_decoder else _glm_cases
    built = {
        name: build(name, {**_shared(name, recorded), **tensors})
        for name, tensors in recorded.items()
    }
    cases = [case for found in built.values() for case in found]
    if not cases:
        raise ValueError(
            f"{path} has no forward pass to compare with, only {', '.join(recorded) or 'nothing'}; "
            "docs/converting.md describes the file"
        )
    return cases, [name or "(no case)" for name, found in built.items() if not found]


def _read(path: Path) -> Tensors:
    try:
        if path.suffix == ".safetensors":
            return tensors_in(path)
        if path.suffix == ".npz":
            return {name: torch.from_numpy(array) for name, array in arrays_in(path).items()}
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


def _shared(name: str, recorded: dict[str, Tensors]) -> Tensors:
    """Return the tokens of another case that one without tokens belongs to."""
    own = recorded[name]
    if _first(own, _TOKEN_NAMES) is not None:
        return {}
    others = {
        other: tensors
        for other, tensors in recorded.items()
        if _first(tensors, _TOKEN_NAMES) is not None
    }
    namesakes = [other for other in others if other and name.startswith(other)]
    if not namesakes:
        sizes = {tensor.shape[:2] for key, tensor in own.items() if key in _LOGITS_NAMES}
        namesakes = [other for other, tensors in others.items() if _target(tensors) in sizes]
        if len(namesakes) != 1:
            return {}
    found = others[max(namesakes, key=len)]
    return {key: found[key] for key in _SHARED_NAMES if key in found}


def _target(tensors: Tensors) -> torch.Size | None:
    """Return [B, T] of the tokens at which the logits of a case stand."""
    tokens = _first(tensors, (*_DECODER_NAMES, *_TOKEN_NAMES))
    return None if tokens is None else tokens.shape


def _glm_cases(name: str, tensors: Tensors) -> list[ReferenceCase]:
    tokens, mask = _first(tensors, _TOKEN_NAMES), _first(tensors, _MASK_NAMES)
    logits = _logits(tensors, _LOGITS_NAMES, tokens)
    if tokens is None or logits is None or mask is None or "position_ids" not in tensors:
        return []
    inputs = {"input_ids": tokens, "position_ids": tensors["position_ids"].transpose(0, 1)}
    is_hidden = torch.zeros_like(tokens, dtype=torch.bool)
    if mask.dim() == 4:
        inputs["attention_mask"] = mask
        is_hidden |= mask[:, 0].diagonal(dim1=1, dim2=2) == 0
    elif mask.dim() <= 1 and mask.numel() in (1, len(tokens)):
        inputs["prefix_lengths"] = mask.expand(tokens.shape[0])
    else:
        return []
    return [ReferenceCase(name, inputs, logits, tokens, is_hidden)]


def _encoder_decoder_cases(name: str, tensors: Tensors) -> list[ReferenceCase]:
    source, cases = _first(tensors, _TOKEN_NAMES), []
    recorded: tuple[tuple[Output, tuple[str, ...], tuple[str, ...]], ...] = (
        ("logits", _LOGITS_NAMES, _DECODER_NAMES),
        ("logits", ("denoising_logits",), ("denoising_decoder_input",)),
        ("discriminator_logits", ("discriminator_logits",), ("input_tokens",)),
    )
    for output, logits_names, token_names in recorded:
        tokens = _first(tensors, token_names)
        logits = _logits(tensors, logits_names, tokens)
        if source is None or tokens is None or logits is None:
            continue
        inputs: dict[str, Any] = {"input_ids": source, "decoder_input_ids": tokens}
        whole = name if "logits" in logits_names else f"{name}: {logits_names[0]}"
        is_hidden = torch.zeros_like(tokens, dtype=torch.bool)
        cases.append(ReferenceCase(whole, inputs, logits, tokens, is_hidden, output))
    return cases


def _first(tensors: Tensors, names: tuple[str, ...]) -> Tensor | None:
    return next((tensors[name] for name in names if name in tensors), None)


def _logits(tensors: Tensors, names: tuple[str, ...], tokens: Tensor | None) -> Tensor | None:
    """Return the logits of every token; heads and single steps record others by that name."""
    found = [tensors[name] for name in names if name in tensors]
    if tokens is None:
        return None
    return next((one for one in found if one.dim() == 3 and one.shape[:2] == tokens.shape), None)
