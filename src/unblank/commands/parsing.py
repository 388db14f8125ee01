"""From the words after a training command to its settings: a recipe, then flags over it."""

import sys
from collections.abc import Sequence
from typing import TypeVar

from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import read_settings, to_yaml

__all__ = ["parse_run_config", "parse_settings"]

Settings = TypeVar("Settings")

_PRINT_FLAGS = ("--print-config", "--print_config")

_DESCRIPTION = """Pretrain a blank-infilling language model on your own text.

unblank pretrain [recipe.yaml] [--section.field value ...] [--print-config]

A flag overrides the recipe's field of the same name; --print-config prints the resulting recipe and
stops. Several processes: torchrun --nproc-per-node N -m unblank pretrain ..."""


def parse_run_config(arguments: Sequence[str]) -> PretrainSettings:
    """Return the pretraining run that the command line describes; see `parse_settings`."""
    advice = "recipes/pretrain of the repository has some"
    return parse_settings(PretrainSettings, "unblank pretrain", _DESCRIPTION, arguments, advice)


def parse_settings(
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
