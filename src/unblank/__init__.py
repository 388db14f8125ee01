"""Unblank: one library and command for blank-infilling language models.

`unblank.load(folder)` opens a model, `unblank.convert(source, output)` makes one of a published
checkpoint; everything else lives in the submodules.
"""

from typing import TYPE_CHECKING, Any

from unblank.version import __version__

if TYPE_CHECKING:
    from unblank.api import Unblank, load
    from unblank.conversion.convert import convert

__all__ = ["Unblank", "__version__", "convert", "load"]


def __getattr__(name: str) -> Any:
    """Import these only when asked for: they bring torch and transformers."""
    if name in ("Unblank", "load"):
        from unblank import api

        return getattr(api, name)
    if name == "convert":
        from unblank.conversion.convert import convert

        return convert
    raise AttributeError(f"module 'unblank' has no attribute {name!r}")
