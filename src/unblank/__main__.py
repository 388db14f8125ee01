"""The command `unblank`, also as `python -m unblank`, which torchrun needs.

Importing what finds the command takes a part of a second, on a busy machine more: a signal that
comes meanwhile ends it as one that comes later does.
"""

import os
import signal
from contextlib import suppress
from types import FrameType


def _start() -> None:
    """Run the command line, as `unblank.cli.main` does with the words of this process."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from unblank import cli

    cli.main()


def _end(number: int, frame: FrameType | None) -> None:
    said = f"unblank: stopped by {signal.Signals(number).name}\n"
    with suppress(OSError):  # nobody reads it
        os.write(2, said.encode())
    os._exit(128 + number)


if __name__ == "__main__":
    _start()
