"""The tiny models, as fixtures."""

from tiny_models import deltalm_folder, tiny, tiny_words

__all__ = ["deltalm_folder", "tiny", "tiny_words"]
