"""Pretraining: settings, the loop, checkpoints. Importing this package imports no torch."""
