"""`unblank calibrate`: learns from labelled examples how often a model is right."""

from functools import partial

from unblank.calibrating.settings import CalibrateSettings
from unblank.commands.parsing import parse_settings
from unblank.terminal_text import print_message

__all__ = ["parse", "run"]


parse = partial(parse_settings, "calibrate", CalibrateSettings)


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
