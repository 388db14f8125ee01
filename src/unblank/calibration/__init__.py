"""Calibration: from the probability that a model gives to how often such answers are right."""
