"""Filling blanks and scoring candidates. Light to import: torch comes with the submodules."""
