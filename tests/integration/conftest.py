"""Runs draw no loss curve, unless a test looks at it; a recipe to compare; a tiny model."""

from comparison_toys import recipe
from pictures import no_pictures, pictures
from small_windows import small_windows
from tiny_models import deltalm_folder

__all__ = ["deltalm_folder", "no_pictures", "pictures", "recipe", "small_windows"]
