"""Published checkpoints in, plain transformers folders out."""
