"""A small text and a run on it, as fixtures."""

from pretraining_toys import finished, finished_once, make_config, text_folder

__all__ = ["finished", "finished_once", "make_config", "text_folder"]
