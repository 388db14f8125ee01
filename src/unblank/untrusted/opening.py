"""The one way in which model, tokenizer and adapter folders are opened.

Every `from_pretrained` of this library is here: it runs no code of a folder, never asks whether it
should, reads no pickles and nothing outside of the folder. A test looks for others.
"""

import json
from collections.abc import Container, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblank.untrusted.folder import (
    CONFIG_NAME,
    refuse_custom_code,
    require_safe_folder,
    require_safe_model_folder,
)
from unblank.untrusted.links import refuse_links_out
from unblank.untrusted.panics import panics_named
from unblank.untrusted.sharded_weights import (
    is_sharded,
    shard_files,
    stored_in_shards,
    whole_tensors,
)
from unblank.untrusted.text_patterns import refuse_costly_patterns
from unblank.untrusted.weight_files import count_numbers, data_types, stored_in_files, weight_paths

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["config_in", "model_in", "tokenizer_in"]

_SAFELY: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
_TOKENIZER_CONFIG = "tokenizer_config.json"
_PLENTY = 3
"""How often the weights of a model may be more than its files hold; a new head or a discriminator
adds less."""
_SPARE = 10**8
"""Numbers that may be missing from any file: new layers are reported, not refused, here."""
_REAL_TYPES = ("F64", "F32", "F16", "BF16")
"""What safetensors calls the data types that weights may have; whole numbers would need a scale."""
_ANY_TEXT = "the old grey cat"


def config_in(folder: Path, **changes: Any) -> "PreTrainedConfig":
    """Return the configuration of a model folder.

    Args:
        folder: of a model that transformers or this library knows.
        **changes: fields that replace those of the file.

    Raises:
        FileNotFoundError: no `config.json`.
        ValueError: damaged, impossible numbers, a type of model that only code of the folder could
            open, or what `require_safe_model_folder` refuses.
    """
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    settings = require_safe_model_folder(folder)
    model_type = settings.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        refuse_custom_code(folder / CONFIG_NAME, settings, f"the model type {model_type!r}")
        raise ValueError(
            f"{folder / CONFIG_NAME} names an unknown model type "
            f"{model_type!r}: neither transformers nor this library has it"
        )
    return _read_config(AutoConfig, folder, changes)


def model_in(
    folder: Path,
    model_class: type["PreTrainedModel"],
    changes: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Any, dict[str, Any]]:
    """Return the model of a folder, and transformers' report of missing and left-over weights.

    Args:
        folder: with `config.json` and safetensors.
        model_class: of this library.
        changes: fields of the configuration that replace those of the file.
        **options: of `from_pretrained`.

    Raises:
        FileNotFoundError: no `config.json`, or no weights.
        ValueError: as for `config_in`, another `model_type` than the class has, damaged weights, an
            index that leads elsewhere, or a configuration of a much larger model than the weights
            are.
    """
    from transformers import GenerationConfig
    from transformers.utils import GENERATION_CONFIG_NAME

    from unblank.quiet import without_loading_report, without_progress_bar

    config_class: Any = model_class.config_class
    _require_model_type(folder, require_safe_model_folder(folder), config_class.model_type)
    config = _read_config(config_class, folder, changes or {})
    _require_weights(folder, model_class, config)
    opener: Any = model_class
    given = _given_weights(folder)
    with without_progress_bar(), without_loading_report():  # callers read the report
        model, report = opener.from_pretrained(
            folder if given is None else None,
            config=config,
            state_dict=given,
            use_safetensors=True,
            output_loading_info=True,
            **_SAFELY,
            **options,
        )
    if given is not None and model.can_generate() and (folder / GENERATION_CONFIG_NAME).is_file():
        # transformers reads it only beside weights that it reads itself.
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return model, report


def tokenizer_in(folder: Path) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a folder.

    Args:
        folder: with `tokenizer.json`, of a model or a tokenizer.

    Raises:
        FileNotFoundError: no `tokenizer.json`.
        ValueError: damaged, patterns that cost too much, a class that is not made from
            `tokenizer.json`, or one that only code of the folder could provide.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    refuse_links_out(folder)
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"there is no tokenizer.json in {folder}: `unblank tokenize` makes one"
        )
    files = require_safe_folder(folder)
    refuse_costly_patterns(folder / "tokenizer.json")
    try:
        kind = _kind_of_tokenizer(folder, files)
        with panics_named("the tokenizers library gave up"):
            tokenizer = AutoTokenizer.from_pretrained(folder, config=kind, **_SAFELY)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise ValueError(
            f"the tokenizer in {folder} cannot be read: {_first_line(error)}"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError(
            f"the tokenizer in {folder} is a {type(tokenizer).__name__}, which does not use its "
            f"tokenizer.json: set tokenizer_class in {_TOKENIZER_CONFIG} to PreTrainedTokenizerFast"
        )
    _require_whole_texts(tokenizer, folder)
    return tokenizer


def _require_whole_texts(tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Refuse a tokenizer whose frame for a text leaves the text out, or repeats it."""
    core = tokenizer.backend_tokenizer
    framed = core.encode(_ANY_TEXT, add_special_tokens=False).ids
    processor, core.post_processor = core.post_processor, None
    plain = core.encode(_ANY_TEXT, add_special_tokens=False).ids
    core.post_processor = processor
    if framed != plain:
        raise ValueError(
            f"the post_processor of {folder / 'tokenizer.json'} makes {len(framed)} tokens of a "
            f"text that has {len(plain)}: it must keep each text once"
        )


def _require_model_type(folder: Path, settings: Mapping[str, Any], expected: str) -> None:
    """Refuse a folder whose settings are of another kind of model than is opened."""
    found = settings.get("model_type", expected)
    if found != expected:
        raise ValueError(
            f"{folder / CONFIG_NAME} has model_type {found!r}, but a model of type {expected!r} "
            "is opened: give the folder of such a model"
        )


def _read_config(config_class: Any, folder: Path, changes: Mapping[str, Any]) -> "PreTrainedConfig":
    from huggingface_hub.errors import StrictDataclassError

    try:
        config: PreTrainedConfig = config_class.from_pretrained(folder, **_SAFELY, **changes)
    except StrictDataclassError as error:
        raise ValueError(
            f"{folder / CONFIG_NAME} is damaged: {_first_line(error.__cause__ or error)}"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise ValueError(f"{folder / CONFIG_NAME} is damaged: {_first_line(error)}") from error
    return config


def _require_weights(folder: Path, model_class: Any, config: Any) -> None:
    """Raise before memory is taken for weights that the files cannot hold."""
    paths = weight_paths(folder) or shard_files(folder)
    if not paths:
        raise FileNotFoundError(f"{folder} has no weights: it has no model.safetensors")
    names, num_described = _described(model_class, config.to_json_string(use_diff=False))
    _require_real_numbers(paths, names)
    if num_described > _PLENTY * (num_stored := count_numbers(paths)) + _SPARE:
        raise ValueError(
            f"{folder / CONFIG_NAME} describes a model of {num_described:,} parameters, but its "
            f"weights have {num_stored:,}: restore the {CONFIG_NAME} that belongs to them"
        )


@lru_cache(maxsize=32)
def _described(model_class: Any, settings: str) -> tuple[frozenset[str], int]:
    """Return the names of the parameters of a model, and how many numbers they have.

    To build a small model takes as long as to read it, so a process does it once for many alike.

    Args:
        model_class: of this library.
        settings: of the configuration, as JSON.
    """
    import torch

    from unblank.deferred_values import without_notes

    config = model_class.config_class.from_dict(json.loads(settings))
    with without_notes(), torch.device("meta"), torch.random.fork_rng(devices=[]):
        model = model_class(config)
    names = frozenset(name for name, _ in model.named_parameters())
    return names, sum(parameter.numel() for parameter in model.parameters())


def _require_real_numbers(paths: Iterable[Path], names: Container[str]) -> None:
    """Refuse weights that are whole numbers, as of a quantised model, or of less than two bytes."""
    for path in paths:
        for name, kind in data_types(path).items():
            if name in names and kind not in _REAL_TYPES:
                raise ValueError(
                    f"{path} has {name} in the data type {kind}, but weights may have "
                    f"{', '.join(_REAL_TYPES)}: take the weights as they were before they were "
                    "quantised"
                )


def _given_weights(folder: Path) -> dict[str, Any] | None:
    """Return the weights that transformers cannot read itself: of shards, or not yet at all."""
    from unblank.deferred_values import UnreadTensor, is_deferring

    if is_deferring():
        paths = weight_paths(folder)
        stored = stored_in_files(paths) if paths else stored_in_shards(folder, "weights")
        return {name: UnreadTensor(one.shape, one.read) for name, one in stored.items()}
    return dict(whole_tensors(folder, "weights")) if is_sharded(folder) else None


def _kind_of_tokenizer(folder: Path, files: dict[str, dict[str, Any]]) -> Any:
    """Return a configuration that tells transformers which of its classes the tokenizer has."""
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    settings, of_model = files.get(_TOKENIZER_CONFIG, {}), files.get(CONFIG_NAME, {})
    name = settings.get("tokenizer_class") or of_model.get("tokenizer_class")
    model_type = of_model.get("model_type")
    is_known = isinstance(model_type, str) and model_type in CONFIG_MAPPING
    kind = CONFIG_MAPPING[model_type]() if is_known else PreTrainedConfig()
    kind.tokenizer_class = name
    if name is None:
        return kind
    known = tokenizer_class_from_name(str(name)) or tokenizer_class_from_name(f"{name}Fast")
    if known is None:
        refuse_custom_code(folder / _TOKENIZER_CONFIG, settings, f"the tokenizer class {name!r}")
    elif not (isinstance(known, type) and issubclass(known, PreTrainedTokenizerFast)):
        raise ValueError(f"its class {name!r} does not use tokenizer.json")
    return kind


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
