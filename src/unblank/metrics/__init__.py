"""Scores of labels and of texts, with their signatures."""
