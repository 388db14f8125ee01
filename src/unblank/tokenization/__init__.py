"""Tokenizers for blank infilling. Light to import: training lives in `train`, loaded when asked."""

from unblank.tokenization.special import SpecialIds, special_ids

__all__ = ["SpecialIds", "special_ids"]
