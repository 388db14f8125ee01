"""`unblank fill`: fills the blanks of texts; coloured lines, JSON lines or a file come out."""

from functools import partial

from unblank.commands.fill_settings import FillSettings
from unblank.commands.parsing import parse_settings

__all__ = ["parse", "run"]

_USUAL = (
    *("input", "text_field", "output", "json", "stream", "tokens", "rules", "abstain_below"),
    *("num_beams", "num_return", "do_sample", "temperature", "top_p", "seed", "max_tokens"),
    *("order", "device", "dtype"),
)
"""Settings that `--help` shows; `--help-all` shows all."""


parse = partial(parse_settings, "fill", FillSettings, usual=_USUAL)


def run(settings: FillSettings) -> None:
    """Fill the texts and print them, or write them to a file.

    Raises:
        ValueError: as for `Unblank.fill`, once the others are filled; also if nothing is given.
        FileNotFoundError: as for `unblank.load`; also for `--input`.
        FileExistsError: `--output` is there already.
    """
    from unblank.commands.fill_printing import fill_and_print

    fill_and_print(settings)
