"""How alike a model's states of translations are: retrieval, pictures, shared vocabulary."""
