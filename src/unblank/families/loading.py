"""Opening a model folder, with a message for everything that can be wrong with one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel

from unblank.families.family import Family
from unblank.families.table import FAMILIES, family_of_model_type
from unblank.integrity import (
    CHECKPOINTS_NAME,
    MANIFEST_NAME,
    PROVENANCE_NAME,
    SHARDED_NAME,
    find_damage,
)
from unblank.models.encoder_decoder import EncoderDecoderForConditionalGeneration
from unblank.models.finite import require_finite
from unblank.models.glm import GlmInfillForConditionalGeneration
from unblank.near_names import near_paths
from unblank.path_arguments import disk_path
from unblank.plurals import counted
from unblank.process import local_rank
from unblank.tokenization.vocabulary import count_ids
from unblank.untrusted.folder import require_safe_model_folder
from unblank.untrusted.links import refuse_links_out
from unblank.untrusted.opening import model_in, tokenizer_in
from unblank.untrusted.sharded_weights import shard_files
from unblank.untrusted.weight_files import (
    INDEX_NAME,
    opened_weights,
    places_in_index,
    refuse_only_pickles,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "LanguageModel",
    "load_folder",
    "refuse_left_over",
    "require_folder",
    "require_rows",
    "require_whole_weights",
    "torch_device",
    "torch_dtype",
]

LanguageModel = GlmInfillForConditionalGeneration | EncoderDecoderForConditionalGeneration
"""Model that `unblank.load` returns; for a GanLM the generator, as only training uses the
discriminator."""

_FOR_TRAINING = (
    "optimizer.safetensors",
    "trainer.json",
    f"{SHARDED_NAME}/*-model-0000[!1]-of-*",
)
"""Files of a checkpoint that are not read when its model is used."""

_COMPUTED_IN = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def load_folder(
    folder: Path,
    *,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
    must_write: bool = True,
) -> tuple[LanguageModel, "PreTrainedTokenizerFast"]:
    """Return model and tokenizer of a folder; arguments and errors as for `unblank.load`.

    Without `must_write` the pretraining model of a family that writes nothing is opened, too.
    """
    _check_as_written(folder)
    model_class = _check_files(folder, must_write)
    _check_weights(folder)
    loaded = _load_weights(model_class, folder, torch_dtype(dtype))
    require_finite(loaded.named_parameters(), folder)
    tokenizer = tokenizer_in(folder)
    require_rows(loaded, tokenizer, f"the tokenizer in {folder}")
    model: Any = loaded.to(torch_device(device))
    return model, tokenizer


def require_rows(model: LanguageModel, tokenizer: "PreTrainedTokenizerFast", name: str) -> None:
    """Refuse a tokenizer with an id that a model has no embedding for.

    Raises:
        ValueError: it has such an id.
    """
    if (num_ids := count_ids(tokenizer)) > (rows := model.config.vocab_size):
        raise ValueError(
            f"the ids of {name} need {num_ids:,} rows, but the model's embedding table has "
            f"{rows:,}: this tokenizer does not belong to these weights"
        )


def require_whole_weights(folder: Path) -> None:
    """Raise what `unblank.load` raises for weights that are missing, damaged or cut short."""
    _check_as_written(folder)
    _check_weights(folder)


def _check_as_written(folder: Path) -> None:
    """Refuse a checkpoint or a finished model that has changed; other folders have no record."""
    if (folder / MANIFEST_NAME).is_file():
        kind, record_name = "checkpoint", MANIFEST_NAME
        others = [other for other in folder.parent.glob("*/") if other.name < folder.name]
    elif (folder / PROVENANCE_NAME).is_file():
        kind, record_name = "model", PROVENANCE_NAME
        others = list((folder / CHECKPOINTS_NAME).glob("*/"))
    else:
        return
    if (damage := find_damage(folder, record_name, unused=_FOR_TRAINING)) is None:
        return
    latest_first = sorted(others, reverse=True)
    good = next(
        (one for one in latest_first if find_damage(one, unused=_FOR_TRAINING) is None), None
    )
    advice = f"; this checkpoint is intact: {good}" if good else ": copy or save it again"
    raise ValueError(f"{kind} {folder} is damaged ({damage}){advice}")


def require_folder(folder: Path) -> None:
    """Raise for a folder that cannot be opened, whatever it holds.

    Raises:
        FileNotFoundError: there is no such folder; the message names similar ones.
        ValueError: it is a URL, or a link in it leads out of it, or nowhere.
    """
    if not folder.is_dir():
        disk_path(folder, "the model")
        raise FileNotFoundError(f"no folder {folder}{near_paths(folder, only_folders=True)}")
    refuse_links_out(folder)


def _check_files(folder: Path, must_write: bool) -> type[PreTrainedModel]:
    """Return the class of the model; raise if it is none of ours, or files are missing."""
    require_folder(folder)
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            if name == "tokenizer.json" and (folder / PROVENANCE_NAME).is_file():
                raise FileNotFoundError(
                    f"{folder} has a model but no tokenizer: unblank convert --complete {folder} "
                    "--tokenizer VOCABULARY gives it one"
                )
            _refuse_unfinished_run(folder)
            raise FileNotFoundError(
                f"{folder} is not a model folder: it has no {name}. Give the folder with "
                "config.json, model.safetensors and tokenizer.json"
            )
    config = require_safe_model_folder(folder)
    model_type = config.get("model_type")
    family = family_of_model_type(model_type)
    if family is not None and family.generating_class is None and not must_write:
        return family.pretraining_class
    if family is None or family.generating_class is None:
        known = [one.model_type for one in FAMILIES.values() if one.generating_class is not None]
        raise ValueError(
            f"{folder} has a model of type {model_type!r}, and unblank.load opens "
            f"{', '.join(known)}: {_other_use(family)}"
        )
    _refuse_classifier(folder, config)
    return family.generating_class


def _other_use(family: Family | None) -> str:
    """Say what opens a model that answers nothing here, or is of no family of ours."""
    if family is None:
        return (
            "open it with transformers.AutoModel, make an encoder-decoder of it (unblank finetune "
            "--model.init-from-encoder), or convert it if it is a published checkpoint (unblank "
            "convert)"
        )
    name = family.pretraining_class.__name__
    uses = [
        f"open it with unblank.models.{name}.from_pretrained",
        "measure it on minimal pairs (unblank evaluate)",
    ]
    if family.gives_encoder:
        uses.append("make an encoder-decoder of it (unblank finetune --model.init-from-encoder)")
    return f"it writes nothing; {', '.join(uses[:-1])}, or {uses[-1]}"


def _refuse_unfinished_run(folder: Path) -> None:
    """Say how far a run is that has not made its model yet, and what can be opened instead."""
    from unblank.engine.run_state import read_run_state

    state = read_run_state(folder)
    if state is None:
        return
    doing = "is still training" if state.is_running else "has not been finished"
    advice = (
        f"its last checkpoint can be used now: {state.checkpoint}"
        if state.checkpoint
        else "it has no checkpoint yet"
    )
    raise FileNotFoundError(f"the run {folder} {doing} ({state}); {advice}")


def _refuse_classifier(folder: Path, config: dict[str, Any]) -> None:
    """Without its head a classifier would open too, but nobody has trained it to write."""
    for name in config.get("architectures") or ():
        if "Classification" in name or "MultipleChoice" in name:
            raise ValueError(
                f"{folder} has a {name}, which assigns labels and writes no text: use `unblank "
                f"predict`, measure it with `unblank evaluate --suite classifier`, or open it with "
                f"unblank.models.{name}.from_pretrained"
            )


def _check_weights(folder: Path) -> None:
    refuse_links_out(folder)
    refuse_only_pickles(folder)
    places_in_index(folder / INDEX_NAME)  # which may name files that are not there
    paths = sorted(folder.glob("*.safetensors")) or shard_files(folder)
    if not paths:
        raise FileNotFoundError(f"{folder} is not a model folder: it has no model.safetensors")
    for path in paths:
        with opened_weights(path):
            pass


def _load_weights(
    model_class: type[PreTrainedModel], folder: Path, dtype: torch.dtype | str
) -> LanguageModel:
    model, report = model_in(
        folder,
        model_class,
        dtype=dtype,
        ignore_mismatched_sizes=True,  # they are refused below
    )
    if report["mismatched_keys"]:
        name, found, expected = sorted(report["mismatched_keys"])[0]
        raise ValueError(
            f"the weights in {folder} do not fit its config.json: {name} has shape {list(found)} "
            f"in the file and {list(expected)} by the configuration (such weights: "
            f"{len(report['mismatched_keys'])}): restore the config.json that belongs to them"
        )
    if report["missing_keys"]:
        names = sorted(report["missing_keys"])
        raise ValueError(f"{folder} lacks weights: {', '.join(names[:5])} ({len(names)} in all)")
    refuse_left_over(report, folder)
    loaded: LanguageModel = model
    return loaded


def refuse_left_over(report: Mapping[str, Any], folder: Path) -> None:
    """Refuse weights that a model has no place for: its configuration is that of another.

    Args:
        report: of `model_in`; parts that a class leaves out on purpose are not in it.
        folder: of the model, for the message.

    Raises:
        ValueError: some are left over; the message names them.
    """
    if names := sorted(report["unexpected_keys"]):
        raise ValueError(
            f"the weights in {folder} do not fit its config.json, by which the model has no "
            f"{', '.join(names[:3])} ({len(names)} in all): restore the config.json that belongs "
            "to them"
        )


def torch_dtype(dtype: str | torch.dtype | None) -> torch.dtype | str:
    """Return a data type by its name; None is the one that weights were saved in."""
    if dtype is None:
        return "auto"
    if isinstance(dtype, torch.dtype) and dtype in _COMPUTED_IN:
        return dtype
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"dtype is {dtype!r}: choose one of {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def torch_device(device: str) -> torch.device:
    """Return a device by its name, or the best one for "auto"; ValueError if it is not there."""
    has_gpu = torch.cuda.is_available()
    if device == "auto":
        if has_gpu and os.environ.get("LOCAL_RANK"):  # of torchrun: each process has its own
            return torch.device("cuda", local_rank() % torch.cuda.device_count())
        return torch.device("cuda" if has_gpu else "cpu")
    try:
        chosen = torch.device(device)
        if chosen.type not in ("cpu", "cuda"):
            torch.zeros(1, device=chosen).item()  # it is there, and holds values
    except (RuntimeError, TypeError, ImportError) as error:
        raise ValueError(f"device is {device!r}: use auto, cpu or cuda") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        num_gpus = torch.cuda.device_count()
        advice = f"cpu, or cuda:{num_gpus - 1} or less" if num_gpus else "cpu"
        raise ValueError(
            f"device is {device!r}, but torch sees {counted(num_gpus, 'GPU')}: use {advice}"
        )
    return chosen
