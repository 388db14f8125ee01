"""Several ways to pretrain, side by side: the same data, steps, size and seeds; one table."""
