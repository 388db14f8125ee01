"""What all settings share: recipes in YAML, checks of values."""
