"""Parameter-efficient tuning: LoRA adapters and trained prompts, in small folders of their own."""
