"""Fine-tuning on tasks with labels: cloze questions and classifiers."""
