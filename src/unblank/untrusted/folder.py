"""What is checked of a model or tokenizer folder before transformers reads anything in it."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblank.untrusted.adapter import PEFT_CONFIG_NAME
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.links import refuse_links_out, require_plain_name

__all__ = [
    "CONFIG_NAME",
    "refuse_custom_code",
    "require_kinds",
    "require_safe_folder",
    "require_safe_model_folder",
]

CONFIG_NAME = "config.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_READ_AS_JSON = (
    *(CONFIG_NAME, "generation_config.json"),
    *(_TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json"),
)
"""Files of settings that transformers reads where they are."""
_MOST_LABELS = 10**6
_DTYPES = ("float32", "bfloat16", "float16", "float64")
_KINDS = {"architectures": list, "id2label": dict, "label2id": dict, "model_type": str}


def require_safe_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of a folder by the names of their files, after checks.

    Code beside them is never run; a warning says that it is there.

    Raises:
        ValueError: a link or a name leads out of the folder, or a file is damaged.
    """
    refuse_links_out(folder)
    settings = {
        name: read_json_object(folder / name) for name in _READ_AS_JSON if (folder / name).is_file()
    }
    versions = settings.get(_TOKENIZER_CONFIG, {}).get("fast_tokenizer_files", [])
    for name in versions if isinstance(versions, list) else [versions]:
        require_plain_name(str(name), str(folder / _TOKENIZER_CONFIG))
    _note_code(folder)
    return settings


def require_safe_model_folder(folder: Path) -> dict[str, Any]:
    """Return what `config.json` holds, after the checks of `require_safe_folder` and its own.

    Raises:
        FileNotFoundError: no `config.json`.
        ValueError: as for `require_safe_folder`, or the folder is an adapter, or its settings ask
            for weights, quantisation or kernels from elsewhere.
    """
    refuse_links_out(folder)
    if not (folder / CONFIG_NAME).is_file():
        raise FileNotFoundError(f"{folder} is not a model folder: it has no {CONFIG_NAME}")
    settings = require_safe_folder(folder)[CONFIG_NAME]
    if (folder / PEFT_CONFIG_NAME).is_file():
        raise ValueError(
            f"{folder} has both {CONFIG_NAME} and {PEFT_CONFIG_NAME}: keep a model and its adapter "
            "in folders of their own"
        )
    _refuse_from_elsewhere(folder / CONFIG_NAME, settings)
    require_kinds(folder / CONFIG_NAME, settings)
    _require_bounds(folder / CONFIG_NAME, settings)
    return settings


def refuse_custom_code(path: Path, settings: Mapping[str, Any], kind: str) -> None:
    """Raise for settings that name a class which only code of the folder could provide.

    Args:
        path: of the settings.
        settings: with or without an `auto_map`.
        kind: what transformers does not know, such as `the tokenizer class 'Mine'`.

    Raises:
        ValueError: they have an `auto_map`.
    """
    if settings.get("auto_map"):
        raise ValueError(
            f"{path} names {kind}, which only Python code of its author can open; such code is "
            "never run: ask for a folder that transformers opens by itself"
        )


def require_kinds(path: Path, settings: Mapping[str, Any]) -> None:
    """Raise for settings of other kinds than transformers writes.

    Args:
        path: of the settings.
        settings: of a `config.json`.

    Raises:
        ValueError: a name or labels are something else.
    """
    for name, kind in _KINDS.items():
        value = settings.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{path} is damaged: {name} is a {type(value).__name__}")
    if not all(isinstance(name, str) for name in settings.get("architectures") or ()):
        raise ValueError(f"{path} is damaged: architectures should be a list of names")


def _require_bounds(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse what transformers would stumble over, or unfold to any size."""
    for name in ("dtype", "torch_dtype"):
        if settings.get(name) not in (None, "auto", *_DTYPES):
            raise ValueError(
                f"{path} sets {name} to {str(settings[name])[:60]!r}: allowed are "
                f"{', '.join(_DTYPES)}"
            )
    labels = settings.get("num_labels", 1)
    if type(labels) is not int or not 0 <= labels <= _MOST_LABELS:  # transformers names each
        raise ValueError(
            f"{path} sets num_labels to {str(labels)[:60]}: it must be a whole number of at most "
            f"{_MOST_LABELS:,}"
        )


def _refuse_from_elsewhere(path: Path, settings: Mapping[str, Any]) -> None:
    for name in ("quantization_config", "transformers_weights"):
        if settings.get(name):
            raise ValueError(
                f"{path} sets {name}, which the models of this library do not have: remove it if "
                "the weights are plain safetensors"
            )
    for name in ("attn_implementation", "_attn_implementation", "experts_implementation"):
        value = settings.get(name)
        if value is not None and not (isinstance(value, str) and value.isidentifier()):
            raise ValueError(
                f"{path} sets {name} to {str(value)[:60]!r}, which would be fetched and run: "
                "remove it"
            )


def _note_code(folder: Path) -> None:
    code = sorted(path.name for path in folder.glob("*.py"))
    if (folder / "custom_generate").is_dir():
        code.append("custom_generate")
    if code:
        more = f" and {len(code) - 3} more" if len(code) > 3 else ""
        warnings.warn(
            f"{folder} holds code ({', '.join(code[:3])}{more}), which is never run",
            stacklevel=2,
        )
