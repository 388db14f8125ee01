"""Runs draw no loss curve here, unless a test looks at it; the recipe of a small comparison."""

from comparison_toys import recipe
from pictures import no_pictures, pictures
from small_windows import small_windows

__all__ = ["no_pictures", "pictures", "recipe", "small_windows"]
