"""Packages that only some commands need, and the extra of this library that installs each.

The one place that says `pip install 'unblank[...]'`. A command asks for what it will need before
its first step, so that nothing is lost to a package that is missing at its end.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["install_command", "is_installed", "optional_package", "picture_note", "require_package"]

EXTRAS = {
    "pyarrow": "data",
    "zstandard": "data",
    "fsspec": "remote",
    "aiohttp": "remote",
    "s3fs": "s3",
    "gcsfs": "gs",
    "tensorboard": "track",
    "trackio": "track",
    "wandb": "track",
    "matplotlib": "plot",
    "peft": "peft",
    "sentencepiece": "convert",
    "google": "convert",
    "sacrebleu": "eval",
    "rouge_score": "eval",
    "nltk": "eval",
    "sklearn": "eval",
    "scipy": "eval",
    "lm_eval": "eval",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "bm25s": "retrieval",
}
"""Package, as it is imported -> the extra that installs it."""


def install_command(package: str) -> str:
    """Return how a package is installed.

    Args:
        package: as it is imported; one of no extra goes by its own name.

    Example:
        >>> install_command("matplotlib")
        "pip install 'unblank[plot]'"
    """
    root = package.partition(".")[0]
    return f"pip install 'unblank[{EXTRAS[root]}]'" if root in EXTRAS else f"pip install {root}"


def is_installed(package: str) -> bool:
    """Whether a package is there; it is not imported."""
    try:
        return find_spec(package.partition(".")[0]) is not None
    except ValueError:  # a module that was put among the imported ones without a file
        return True


def require_package(package: str, purpose: str) -> None:
    """Check that a package is there, without importing it.

    Args:
        package: as it is imported.
        purpose: what needs it, as the beginning of a sentence.

    Raises:
        ImportError: it is not; the message says what needs it and which extra installs it.
    """
    if not is_installed(package):
        raise _absent(package, purpose)


def optional_package(package: str, purpose: str) -> Any:
    """Return a package, or a module in one, imported; arguments and errors as above."""
    try:
        return import_module(package)
    except ImportError as error:
        raise _absent(package, purpose) from error


def picture_note(path: Path, *, is_drawn: bool) -> str:
    """Return the line that says where a picture is, or how to get one."""
    if is_drawn:
        return f"picture: {path}"
    return f"{path} was not drawn; to draw it: {install_command('matplotlib')}"


def _absent(package: str, purpose: str) -> ImportError:
    root = package.partition(".")[0]
    return ImportError(f"{purpose} needs the package {root}: {install_command(package)}")
