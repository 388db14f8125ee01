"""What tuning few parameters leaves behind: a small folder that belongs to a base model."""
