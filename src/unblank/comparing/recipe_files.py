"""Reading the recipe of a comparison: checked whole, every run's settings included.

`$UNBLANK_DATA` and other variables of the environment may be used in paths.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unblank.comparing.recipe import (
    MODEL_FOLDER_NAME,
    Measurement,
    Recipe,
    Variant,
    file_name,
    offered_names,
)
from unblank.settings.shipped_recipes import recipe_path
from unblank.untrusted.yaml_text import read_yaml

__all__ = ["load_comparison"]

_KEYS = ("about", "output_dir", "seeds", "model", "pretrain", "variants", "evaluate", "finetune")
_VARIANT_KEYS = ("about", "change", "measure", "without")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def load_comparison(path: Path) -> Recipe:
    """Return the comparison that a YAML file describes; every run's settings are checked.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: a key, name or value that does not fit, or a variable that is not set.
    """
    path = recipe_path(path)
    content = read_yaml(path)
    try:
        recipe = _build(path, _expanded(content))
        for run in recipe.runs():
            if recipe.model is None:
                recipe.pretrain_settings(run)
            for measurement in recipe.measurements:
                is_evaluation = measurement.kind == "evaluate"
                check = recipe.evaluation_options if is_evaluation else recipe.finetune_settings
                check(run, measurement)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return recipe


def _build(path: Path, content: Any) -> Recipe:
    if not isinstance(content, Mapping):
        raise ValueError("a recipe must be a mapping of keys to values")
    _check_keys(content, _KEYS, "")
    measurements = tuple(
        Measurement(str(name), kind, *_without_metrics(settings, name))
        for kind in ("evaluate", "finetune")
        for name, settings in _mapping(content, kind).items()
    )
    names = [measurement.name for measurement in measurements]
    if len(set(names)) < len(names):
        raise ValueError("an evaluation and a fine-tuning have the same name: rename one")
    files = [file_name(name) for name in names]
    if len(set(files)) < len(files) or not all(files) or MODEL_FOLDER_NAME in files:
        raise ValueError(
            f"names of measurements must differ in letters (a to z) or digits, and must not be "
            f"{MODEL_FOLDER_NAME!r}, the folder of the model: {names}"
        )
    variants = tuple(
        _variant(name, entry or {}, names) for name, entry in _mapping(content, "variants").items()
    )
    if not variants or not measurements:
        raise ValueError(
            "a comparison needs variants, and an evaluation or a fine-tuning to measure them by"
        )
    folders = [variant.folder_name for variant in variants]
    if len(set(folders)) < len(folders) or not all(folders):
        raise ValueError(f"names of variants must differ in letters or digits: {folders}")
    seeds = content.get("seeds", [0])
    is_list = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    if not is_list or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be a list of different whole numbers, got {seeds!r}")
    output_dir = _folder(content.get("output_dir", f"runs/{path.stem}"), "output_dir")
    pretrain = _mapping(content, "pretrain")
    model = _folder(content["model"], "model") if "model" in content else None
    if model is not None and (pretrain or any(variant.change for variant in variants)):
        raise ValueError(
            f"model is {model}, so nothing is pretrained: leave out pretrain and the change of "
            "variants, and say under measure how a variant is fine-tuned"
        )
    return Recipe(path, output_dir, tuple(seeds), model, pretrain, variants, measurements)


def _variant(name: str, entry: Any, measurements: Sequence[str]) -> Variant:
    if not isinstance(entry, Mapping):
        raise ValueError(f"variant {name} must be a mapping of keys to values, got {entry!r}")
    _check_keys(entry, _VARIANT_KEYS, f" in variant {name}")
    without = _texts(entry.get("without"), f"without of variant {name}")
    measured = _mapping(entry, "measure")
    for one in (*without, *measured):
        if one not in measurements:
            raise ValueError(
                f"variant {name} names {one!r}, which is not measured"
                f"{offered_names(one, measurements)}"
            )
    measure = {one: _mapping(measured, one) for one in measured}
    return Variant(str(name), _mapping(entry, "change"), measure, without)


def _without_metrics(settings: Any, name: str) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    if not isinstance(settings, Mapping):
        raise ValueError(f"{name} must be a mapping of keys to values, got {settings!r}")
    rest = {key: value for key, value in settings.items() if key != "metrics"}
    return rest, _texts(settings.get("metrics"), f"metrics of {name}")


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """Return a list of texts; a single one stands for itself."""
    texts = [value] if isinstance(value, str) else value or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} must be a list of names, got {value!r}")
    return tuple(texts)


def _folder(value: Any, name: str) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a folder, got {value!r}")
    return Path(os.path.expanduser(value))


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} must be a mapping of names to settings, got {value!r}")
    return value


def _check_keys(mapping: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in mapping:
        if key not in allowed:
            raise ValueError(f"unknown key {key!r}{where}{offered_names(str(key), allowed)}")


def _expanded(value: Any) -> Any:
    """Replace variables of the environment in all texts."""
    if isinstance(value, dict):
        return {key: _expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if name not in os.environ:
            raise ValueError(f"{value!r} needs the environment variable {name}: set it")
    return os.path.expandvars(value)
