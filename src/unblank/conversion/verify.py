"""Whether a converted folder still is what was converted: files, weights, ties and outputs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

import unblank.models
from unblank.conversion.reference import ReferenceCase, read_reference
from unblank.families.table import family_of_model
from unblank.integrity import PROVENANCE_NAME, find_damage, weights_files
from unblank.models.finite import is_finite
from unblank.tokenization.vocabulary import count_ids
from unblank.untrusted.folder import CONFIG_NAME, require_kinds
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.opening import model_in, tokenizer_in
from unblank.untrusted.weight_files import opened_weights

__all__ = ["Verification", "verify"]

_PROBE_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what, whether it holds (None: not checked), and the facts."""

    name: str
    holds: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """All checks of a folder."""

    folder: Path
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every check does."""
        return all(check.holds is not False for check in self.checks)


def verify(
    folder: str | Path, reference: str | Path | None = None, *, tolerance: float = 1e-4
) -> Verification:
    """Return what a look at a converted folder found.

    Args:
        folder: with config.json and safetensors; maybe a tokenizer and provenance.json.
        reference: recorded outputs of the original program, as `reference` describes; the model is
            then run in fp32.
        tolerance: largest absolute and relative difference of a logit.

    Raises:
        FileNotFoundError: no such folder or reference.
        ValueError: not a folder of this library, or an unreadable reference.
    """
    folder = Path(folder)
    settings = _settings(folder)
    model_class = _model_class(folder, settings)
    checks = [*_files_check(folder), _finite_check(folder)]
    if all(check.holds for check in checks):
        dtype = "auto" if reference is None else torch.float32
        model, load_check = _load(model_class, folder, dtype)
        checks.append(load_check)
        checks.append(_tied_check(folder, model))
        checks += _tokenizer_checks(folder, model)
        checks.append(_probe_check(model))
        if reference is not None:
            checks += _reference_checks(model, Path(reference), tolerance)
    return Verification(folder, tuple(checks))


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a converted folder: it has no {CONFIG_NAME}")
    settings = read_json_object(path)
    require_kinds(path, settings)
    return settings


def _model_class(folder: Path, settings: dict[str, Any]) -> type[PreTrainedModel]:
    (name, *_) = settings.get("architectures") or [None]
    if name not in unblank.models.__all__:
        raise ValueError(
            f"{folder / CONFIG_NAME} names {name}, which is not a model of this library: convert "
            "the checkpoint first"
        )
    model_class: type[PreTrainedModel] = getattr(unblank.models, name)
    return model_class


def _files_check(folder: Path) -> Iterator[Check]:
    if (folder / PROVENANCE_NAME).is_file():
        damage = find_damage(folder, PROVENANCE_NAME)
        yield Check("files", damage is None, damage or "all as they were written")


def _finite_check(folder: Path) -> Check:
    """Look at every stored number, one tensor at a time."""
    paths, count = weights_files(folder), 0
    if not paths:
        return Check("weights", False, "there is no *.safetensors")
    for path in paths:
        try:
            with opened_weights(path) as file:
                for name in file.keys():  # noqa: SIM118
                    tensor = file.get_tensor(name)
                    if not is_finite(tensor):
                        return Check("weights", False, f"{name} has values that are not finite")
                    count += tensor.numel()
        except ValueError as error:
            return Check("weights", False, str(error))
    return Check("weights", True, f"all {count:,} are finite")


def _load(
    model_class: type[PreTrainedModel], folder: Path, dtype: str | torch.dtype
) -> tuple[PreTrainedModel, Check]:
    model, report = model_in(folder, model_class, dtype=dtype)
    expected = {"missing_keys": _untrained(folder)}
    wrong = {
        kind: rest for kind, keys in report.items() if (rest := {*keys} - expected.get(kind, set()))
    }
    detail = "; ".join(f"{kind}: {sorted(map(str, keys))[:3]}" for kind, keys in wrong.items())
    name = model_class.__name__
    return model.eval(), Check(
        "reload", not wrong, detail or f"{name}, no key missing or left over"
    )


def _untrained(folder: Path) -> set[str]:
    """Return the parameters that the checkpoint never had, as the conversion recorded."""
    path = folder / PROVENANCE_NAME
    if not path.is_file():
        return set()
    return set(read_json_object(path).get("untrained", ()))


def _tied_check(folder: Path, model: PreTrainedModel) -> Check:
    """Tied weights are one tensor in memory, and equal where a file stores both."""
    with torch.device("meta"):  # loading unties weights that differ in the file
        ties = type(model)(model.config).all_tied_weights_keys
    parameters = dict(model.named_parameters(remove_duplicate=False))
    apart = [copy for copy, own in ties.items() if parameters[copy] is not parameters[own]]
    stored = _stored(folder, {*ties, *ties.values()})
    apart += [
        copy
        for copy, own in ties.items()
        if copy in stored and own in stored and not torch.equal(stored[copy], stored[own])
    ]
    pairs = ", ".join(f"{copy} = {own}" for copy, own in ties.items()) or "none to tie"
    return Check("tied weights", not apart, f"apart: {', '.join(apart)}" if apart else pairs)


def _stored(folder: Path, names: set[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in weights_files(folder):
        with opened_weights(path) as file:
            found |= {name: file.get_tensor(name) for name in names & set(file.keys())}
    return found


def _tokenizer_checks(folder: Path, model: PreTrainedModel) -> Iterator[Check]:
    if not (folder / "tokenizer.json").is_file():
        return
    tokenizer = tokenizer_in(folder)
    rows, num_ids = model.get_input_embeddings().weight.shape[0], count_ids(tokenizer)
    gaps = f", ids up to {num_ids - 1:,}" if num_ids > len(tokenizer) else ""
    detail = f"{len(tokenizer):,} tokens{gaps}, {rows:,} rows"
    yield Check("tokenizer", num_ids <= rows, detail)


@torch.inference_mode()
def _probe_check(model: Any) -> Check:
    """Run a few tokens through the model, without claiming what must come out."""
    tokens = torch.arange(_PROBE_LENGTH).remainder(model.config.vocab_size)[None]
    outputs = model.text_outputs(tokens)
    are_finite = all(map(is_finite, outputs.values()))
    shown = ", ".join(f"{name} {list(output.shape)}" for name, output in outputs.items())
    return Check("forward", are_finite, f"{shown}, {'' if are_finite else 'not '}finite")


def _reference_checks(model: PreTrainedModel, path: Path, tolerance: float) -> Iterator[Check]:
    has_target = family_of_model(model).writes == "targets"
    cases, others = read_reference(path, is_encoder_decoder=has_target)
    for case in cases:
        if hasattr(model, "discriminator_logits") or case.output == "logits":
            yield _compare(model, case, tolerance)
        else:
            others.append(case.name)
    if others:
        yield Check("not compared", None, f"no complete forward pass: {', '.join(others)}")


@torch.inference_mode()
def _compare(model: Any, case: ReferenceCase, tolerance: float) -> Check:
    try:
        if case.output == "discriminator_logits":
            logits = model.discriminator_logits(**case.inputs).float()
        else:
            logits = model(**case.inputs).logits.float()
    except (IndexError, RuntimeError, ValueError) as error:  # torch's, of ids or shapes
        return Check(case.name, False, f"the model cannot read its inputs: {error}")
    if logits.shape != case.logits.shape:
        shapes = f"{list(logits.shape)}, the recorded ones are {list(case.logits.shape)}"
        return Check(case.name, False, f"logits are {shapes}")
    counts = ~_is_padding(model, case)
    if not counts.any():
        return Check(case.name, False, "every recorded position is padding")
    found, expected = logits[counts], case.logits.float()[counts]
    difference = (found - expected).abs()
    holds = bool((difference <= tolerance + tolerance * expected.abs()).all())
    return Check(case.name, holds, f"largest difference {difference.max().item():.1e}")


def _is_padding(model: PreTrainedModel, case: ReferenceCase) -> Tensor:
    """Return bool[B, T], True at padding: what a program computes there carries no meaning."""
    pad_id = model.config.pad_token_id
    if pad_id is None:
        return case.is_hidden
    is_pad: Tensor = case.tokens == pad_id
    if family_of_model(model).writes != "targets" or pad_id == model.config.eos_token_id:
        # One token both ends a text and pads: of a run at the end of a row the first is no padding.
        is_run = is_pad.flip(1).cumprod(1).flip(1).bool()
        is_pad = is_run & functional.pad(is_run, (1, 0))[:, :-1]
    return case.is_hidden | is_pad
