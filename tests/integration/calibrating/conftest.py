"""The tiny model and the toy task, as fixtures."""

from labelled_toys import toys
from tiny_models import tiny

__all__ = ["tiny", "toys"]
