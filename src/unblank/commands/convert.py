"""`unblank convert`: turns a published checkpoint into a safe model folder, or verifies one."""

from collections.abc import Sequence

from unblank.commands.convert_settings import CompleteSettings, ConvertSettings, VerifySettings
from unblank.commands.parsing import Variants, parse_settings
from unblank.commands.words import named_values

__all__ = ["parse", "run"]


def parse(words: Sequence[str]) -> ConvertSettings | CompleteSettings | VerifySettings:
    """Return the settings of each form of the command; errors as for `parse_settings`."""
    others: dict[str, type[CompleteSettings | VerifySettings]] = {
        "--complete": CompleteSettings,
        "--verify": VerifySettings,
    }
    kinds: dict[str, type] = {"a conversion": ConvertSettings, **others}
    for name, kind in others.items():
        if named_values(words, name):
            return parse_settings("convert", kind, words, variants=Variants(name, kinds))
    more = {
        "--complete FOLDER --help": "Options for giving a folder its tokenizer.",
        "--verify FOLDER --help": "Options for verifying a folder.",
    }
    variants = Variants("a conversion", kinds, more)
    return parse_settings("convert", ConvertSettings, words, variants=variants)


def run(settings: ConvertSettings | CompleteSettings | VerifySettings) -> None:
    """Convert, complete or verify as the settings say.

    Raises:
        FileNotFoundError: nothing to read, or a piece is missing.
        FileExistsError: the output exists.
        ValueError: anything else that is wrong with the input.
    """
    from unblank.commands import convert_printing

    if isinstance(settings, VerifySettings):
        convert_printing.verify_and_print(settings)
    elif isinstance(settings, CompleteSettings):
        convert_printing.complete_and_print(settings)
    else:
        convert_printing.convert_and_print(settings)
