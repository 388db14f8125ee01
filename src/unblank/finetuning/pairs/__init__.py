"""Fine-tuning on pairs: from source text to target text."""
