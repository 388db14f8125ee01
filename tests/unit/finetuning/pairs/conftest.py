"""Small pairs and settings of a run on them, as fixtures."""

from pair_toys import pair_folder, pairs_config

__all__ = ["pair_folder", "pairs_config"]
