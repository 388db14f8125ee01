"""Pretraining: a training on plain and parallel text."""
