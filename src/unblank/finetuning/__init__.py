"""Fine-tuning: a pretrained model, a task and a method make a model for that task."""
