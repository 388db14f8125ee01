"""From the words after a training command to its settings: a recipe, then flags over it."""

import sys
from collections.abc import Sequence
from typing import TypeVar

from unblank.settings.recipes import read_settings, to_yaml

__all__ = ["parse_recipe"]

Settings = TypeVar("Settings")

_PRINT_FLAGS = ("--print-config", "--print_config")


def parse_recipe(
    kind: type[Settings], command: str, description: str, arguments: Sequence[str], advice: str
) -> Settings:
    """Return the settings that the command line describes.

    Args:
        kind: dataclass of the whole; every field has a default.
        command: for the help, such as `unblank pretrain`.
        description: the first lines of the help.
        arguments: words after the command's name: an optional recipe first, then flags such as
            `--train.max_steps 100`; `--print-config` prints the result.
        advice: where recipes are found.

    Raises:
        SystemExit: after `--help` and `--print-config` (code 0), and on a flag that does not parse.
        FileNotFoundError: if the recipe is not there.
        ValueError: if the recipe or a flag holds a value that is not allowed.
    """
    import tyro

    words = [word for word in arguments if word not in _PRINT_FLAGS]
    has_recipe = bool(words) and not words[0].startswith("-")
    try:
        default = read_settings(kind, words[0], advice) if has_recipe else kind()
    except TypeError as error:  # a value of the wrong type is the user's slip, not a bug of ours
        raise ValueError(str(error)) from error
    settings = tyro.cli(
        kind,
        prog=command,
        description=description,
        args=words[1:] if has_recipe else words,
        default=default,
        config=(tyro.conf.FlagConversionOff,),  # --train.compile True, like every other value
        use_underscores=True,
    )
    if len(words) < len(arguments):
        sys.stdout.write(to_yaml(settings))
        raise SystemExit(0)
    return settings
