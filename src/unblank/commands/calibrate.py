"""`unblank calibrate`: learns from labelled examples how often a model is right."""

from collections.abc import Sequence

from unblank.calibrating.settings import CalibrateSettings
from unblank.commands.parsing import parse_settings
from unblank.terminal_text import print_message

__all__ = ["parse", "run"]


def parse(words: Sequence[str]) -> CalibrateSettings:
    """Return the settings that the words give; errors as for `parse_settings`."""
    return parse_settings("calibrate", CalibrateSettings, words)


def run(settings: CalibrateSettings) -> None:
    """Calibrate, and print what has changed.

    Raises:
        FileNotFoundError, ValueError, ImportError: as for `unblank.calibrating.run.calibrate`.
    """
    from unblank.calibrating.run import calibrate
    from unblank.consoles import TextConsole

    report, lines = calibrate(settings)
    TextConsole(highlight=False).print(report.shown())
    for line in lines:
        print_message(line)
