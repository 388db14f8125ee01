"""The commands: one file each, with its settings, its printing and one call below."""
