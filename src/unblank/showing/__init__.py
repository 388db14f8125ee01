"""What the model really sees of a text, a pair, a task's example or a vocabulary."""
