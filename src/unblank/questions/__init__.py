"""Questions about a passage: reading them, cutting the passage into windows, finding answers."""
