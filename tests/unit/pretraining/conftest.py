"""A small text with its tokenizer, as a fixture."""

from pretraining_toys import text_folder

__all__ = ["text_folder"]
