"""Panics of the tokenizers library as errors: they are no `Exception`, and name no tokenizer."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Lock

__all__ = ["panics_named", "without_native_messages"]

_ONE_AT_A_TIME = Lock()
"""The error stream is that of all threads."""


@contextmanager
def panics_named(what: str = "the tokenizer cannot read this text") -> Iterator[None]:
    """Turn a panic inside the block into an error; a regular expression that explodes is one.

    Args:
        what: could not be done, for the message.

    Raises:
        ValueError: instead of the panic.
    """
    try:
        yield
    except BaseException as error:  # its class cannot be imported, and is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"{what}: {' '.join(str(error).split())[:200]}") from error


@contextmanager
def without_native_messages() -> Iterator[None]:
    """Drop what libraries write past Python on the error stream, as one does before it panics."""
    with _ONE_AT_A_TIME, ExitStack() as stack:
        with suppress(OSError):  # it is closed: nothing to drop
            own = os.fdopen(os.dup(2), "wb", buffering=0)
            stack.callback(own.close)
            stack.callback(os.dup2, own.fileno(), 2)
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        yield
