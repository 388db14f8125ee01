"""Languages by their codes: names, script, direction, and whether words have spaces between."""

from unblank.languages.codes import Language, find_language, language_name
from unblank.languages.directions import Direction, find_direction, language_codes
from unblank.languages.scripts import share_in_script

__all__ = [
    "Direction",
    "Language",
    "find_direction",
    "find_language",
    "language_codes",
    "language_name",
    "share_in_script",
]
