"""Variants of pretraining side by side: the same data, steps, size and seeds; one table."""
