"""`unblank convert`: turns a published checkpoint into a safe model folder, or verifies one."""

from collections.abc import Sequence

from unblank.commands.convert_settings import ConvertSettings, VerifySettings
from unblank.commands.parsing import Variants, parse_settings
from unblank.commands.words import named_values

__all__ = ["parse", "run"]


def parse(words: Sequence[str]) -> ConvertSettings | VerifySettings:
    """Return the settings of either form of the command; errors as for `parse_settings`."""
    kinds: dict[str, type] = {"a conversion": ConvertSettings, "--verify": VerifySettings}
    if named_values(words, "--verify"):
        return parse_settings(
            "convert", VerifySettings, words, variants=Variants("--verify", kinds)
        )
    variants = Variants(
        "a conversion", kinds, {"--verify FOLDER --help": "Options for verifying a folder."}
    )
    return parse_settings("convert", ConvertSettings, words, variants=variants)


def run(settings: ConvertSettings | VerifySettings) -> None:
    """Convert or verify as the settings say.

    Raises:
        FileNotFoundError: nothing to read, or a piece is missing.
        FileExistsError: the output exists.
        ValueError: anything else that is wrong with the input.
    """
    from unblank.commands import convert_printing

    if isinstance(settings, VerifySettings):
        convert_printing.verify_and_print(settings)
    else:
        convert_printing.convert_and_print(settings)
