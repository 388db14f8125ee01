"""From what a model says of an answer to how often such answers are right, learned and kept."""
