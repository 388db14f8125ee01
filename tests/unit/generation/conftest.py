"""The tiny models, as fixtures."""

from tiny_models import (
    deltalm_folder,
    tiny,
    tiny_encoder_decoder,
    tiny_words,
    unblank_of_each_kind,
)

__all__ = ["deltalm_folder", "tiny", "tiny_encoder_decoder", "tiny_words", "unblank_of_each_kind"]
