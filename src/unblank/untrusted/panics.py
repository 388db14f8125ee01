"""Panics of the tokenizers library as errors: they are no `Exception`, and name no tokenizer."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["panics_named"]


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
