"""The versions of Python and of packages, as records of models and measurements name them."""

import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

__all__ = ["installed_versions"]


def installed_versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Return name -> version: Python's under `python`, and None for a package that is not there.

    Example:
        >>> installed_versions(["no-such-package"])["no-such-package"] is None
        True
    """
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


@cache  # reading a package's record takes as long as a step of a small model
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
