"""The model families, each by its name, and how the one of a preset, folder or model is found."""

from pathlib import Path
from typing import Any

from unblank.families.deltalm import DELTALM
from unblank.families.electra import ELECTRA
from unblank.families.family import Family
from unblank.families.ganlm import GANLM
from unblank.families.glm import GLM
from unblank.families.settings import ModelSettings
from unblank.models.presets import unknown_preset
from unblank.path_arguments import disk_path
from unblank.untrusted.json_text import read_json_object

__all__ = ["FAMILIES", "family_of_model", "family_of_model_type", "family_of_run"]

FAMILIES: dict[str, Family] = {
    "glm": GLM,
    "electra": ELECTRA,
    "deltalm": DELTALM,
    "ganlm": GANLM,
}
"""Every family by its name; a new family is added here and nowhere else."""


def family_of_run(settings: ModelSettings, checkpoint: Path | None = None) -> Family:
    """Return the family of the model that is continued, else of the one to be made.

    Args:
        settings: the `model` section.
        checkpoint: the checkpoint that the run continues, if it does.

    Raises:
        ValueError: if the preset is unknown, or the folder holds something else.
        FileNotFoundError: if `init_from` is not a model folder.
    """
    folder = checkpoint or settings.init_from
    if folder is not None:
        return family_in(folder)
    if settings.init_from_encoder is not None:
        return _family_from_encoder(settings.preset)
    return family_of_preset(settings.preset)


def family_of_preset(preset: str) -> Family:
    """Return the family that has a preset of this name; case does not matter.

    Raises:
        ValueError: no such preset; the nearest names are offered.
    """
    key = preset.lower()
    for family in FAMILIES.values():
        if key in family.presets:
            return family
    names = [name for family in FAMILIES.values() for name in family.presets]
    raise unknown_preset(preset, names)


def family_in(folder: Path) -> Family:
    """Return the family of the model in a folder.

    Raises:
        ValueError: if the folder holds something else.
        FileNotFoundError: if it is not a model folder.
    """
    if not folder.is_dir():
        disk_path(folder, "the model")
        raise FileNotFoundError(f"there is no model folder {folder}")
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a model folder: it has no config.json")
    model_type = read_json_object(path).get("model_type")
    family = family_of_model_type(model_type)
    if family is None:
        known = ", ".join(family.model_type for family in FAMILIES.values())
        raise ValueError(
            f"{folder} has a model of type {model_type!r}: allowed are {known}; give an encoder as "
            "model.init_from_encoder"
        )
    return family


def family_of_model(model: Any) -> Family:
    """Return the family of a model, or of a configuration.

    Raises:
        ValueError: if it is not a model of this library.
    """
    model_type = getattr(model, "config", model).model_type
    family = family_of_model_type(model_type)
    if family is None:
        known = ", ".join(family.model_type for family in FAMILIES.values())
        raise ValueError(f"the model has type {model_type!r}: allowed are {known}")
    return family


def family_of_model_type(model_type: object) -> Family | None:
    """Return the family that is called so in `config.json`, or None."""
    found = (family for family in FAMILIES.values() if family.model_type == model_type)
    return next(found, None)


def _family_from_encoder(preset: str) -> Family:
    """Return the family whose models start from an encoder; `preset` must not name another."""
    (starter,) = (family for family in FAMILIES.values() if family.from_encoder is not None)
    others = tuple(name for name in FAMILIES if name != starter.name)
    if preset.lower().startswith(others):
        raise ValueError(
            f"model.init_from_encoder makes a DeltaLM, not a {preset}: leave it out, or give "
            "model.init_from, a model of the same family"
        )
    return starter
