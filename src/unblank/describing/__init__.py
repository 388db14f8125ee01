"""What a folder holds, read from its files alone: no weights are loaded."""
