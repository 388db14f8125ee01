"""The recipes that come with the library, by name: `recipe:cpu_small` wherever a recipe is named.

In an installed package they lie beside this code; in a clone, at its top.
"""

from dataclasses import dataclass
from pathlib import Path

from unblank.near_names import did_you_mean
from unblank.path_arguments import disk_path

__all__ = ["recipe_path", "shipped_recipes"]

_PREFIX = "recipe:"
_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE / "recipes", _PACKAGE.parents[1] / "recipes")


@dataclass(frozen=True, slots=True)
class ShippedRecipe:
    """One recipe.

    Attributes:
        name: by which it is called, after `recipe:`.
        command: that it is for: pretrain, finetune or compare.
        path: of the YAML file.
        about: its first comment, in one line.
    """

    name: str
    command: str
    path: Path
    about: str


def shipped_recipes() -> list[ShippedRecipe]:
    """Return the recipes that come with the library, in the order of commands and names."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    paths = sorted(folder.glob("*/*.yaml")) if folder else []
    order = ("pretrain", "finetune", "compare")
    found = [ShippedRecipe(path.stem, path.parent.name, path, _about(path)) for path in paths]
    return sorted(found, key=lambda one: (order.index(one.command), one.name))


def recipe_path(given: str | Path) -> Path:
    """Return the file of a recipe: a path as it is, or one of the library's by `recipe:NAME`.

    Raises:
        FileNotFoundError: the library has no such recipe, or there is no such file.
        TypeError, ValueError: it is no path.
    """
    if str(given).startswith(_PREFIX):
        name = str(given).removeprefix(_PREFIX)
        known = {one.name: one.path for one in shipped_recipes()}
        if name in known:
            return known[name]
        hint = did_you_mean(name, known, most=3) or ": unblank recipes lists them"
        raise FileNotFoundError(f"there is no recipe {name!r}{hint}")
    path = disk_path(given, "recipe")
    if not path.is_file():
        raise FileNotFoundError(
            f"no recipe at {path}; unblank recipes lists those that come with the library, such as "
            f"{_PREFIX}cpu_small"
        )
    return path


def _about(path: Path) -> str:
    """Return the comment that a recipe begins with, up to its first full stop."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    sentence, stop, _ = " ".join(lines).partition(". ")
    return sentence + stop.strip() if stop else sentence
