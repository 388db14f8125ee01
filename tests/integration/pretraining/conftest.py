"""A small text and a run on it, as fixtures."""

from pretraining_toys import make_config, no_pictures, pictures, text_folder

__all__ = ["make_config", "no_pictures", "pictures", "text_folder"]
