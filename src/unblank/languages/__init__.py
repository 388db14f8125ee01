"""Languages by their codes: names, script, direction, and whether words have spaces between."""

from unblank.languages.codes import Language, find_language, language_name
from unblank.languages.scripts import share_in_script

__all__ = ["Language", "find_language", "language_name", "share_in_script"]
