"""`unblank recipes`: the recipes that come with the library, and what one of them says."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import Positional

__all__ = ["RecipesSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipesSettings:
    """List the recipes that come with the library, or show one.

    unblank recipes

    unblank recipes show cpu_small > mine.yaml

    `unblank pretrain recipe:cpu_small --data.train FILES` uses one from anywhere; flags override
    its settings.
    """

    action: Positional[Literal["list", "show"]] = "list"
    """list, or show."""
    name: Positional[str] = ""
    """The recipe to show."""

    def __post_init__(self) -> None:
        if (self.action == "show") != bool(self.name):
            raise ValueError("give a name to show, and none to list: unblank recipes [show NAME]")


parse = partial(parse_settings, "recipes", RecipesSettings)


def run(settings: RecipesSettings) -> None:
    """Print the list, or the file of one.

    Raises:
        FileNotFoundError: there is no such recipe.
    """
    from unblank.settings.shipped_recipes import recipe_path, shipped_recipes

    if settings.action == "show":
        path = recipe_path(f"recipe:{settings.name.removeprefix('recipe:')}")
        print(path.read_text(encoding="utf-8"), end="")
        return
    found = shipped_recipes()
    width = max(len(one.name) for one in found)
    command = ""
    for one in found:
        if one.command != command:
            print(f"{'' if not command else chr(10)}unblank {one.command} recipe:NAME")
            command = one.command
        print(f"  {one.name:<{width}}  {one.about}")
