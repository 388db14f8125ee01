"""What a folder holds, told from its files alone: no weights are loaded."""
