"""Runs draw no loss curve here, unless a test looks at it."""

from pictures import no_pictures, pictures
from small_windows import small_windows

__all__ = ["no_pictures", "pictures", "small_windows"]
