"""Model families: each is one value, and one table holds them all."""
