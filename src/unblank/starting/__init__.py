"""What a run starts from: its tokenizer and its model, new, given or of a checkpoint."""
