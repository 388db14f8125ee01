"""Pretraining: a task of the engine on plain and parallel text."""
