"""Fine-tuning on questions about passages."""
