"""The files that paths, folders and patterns stand for: one walk with one rule for every command.

What a folder holds besides is passed over and counted in a note, never in silence.
"""

import difflib
import glob
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unblank.data.formats import compression_of, format_of, package_of, shown_endings
from unblank.extras import require_package
from unblank.plurals import counted

__all__ = ["find_files"]

_Identity = tuple[int, int]
"""Device and number of a file, whatever its name."""

_HIDDEN = "hidden"
_AGAIN = "the same file again"
_BROKEN = "broken links"
_OTHER = "other endings"


def find_files(
    paths: str | Path | Sequence[str | Path], *, any_ending: bool = False
) -> tuple[Path, ...]:
    """Return the files that paths, folders and glob patterns stand for, each once.

    A folder stands for all readable files in it and its subfolders, in sorted order. Names that
    begin with a dot are passed over, links are followed, and no file is returned twice, by
    whatever names. A file without an ending is text where it is named or matched by a pattern; in
    a folder it is passed over. `**` in a pattern crosses folders. A note (`warnings`) says how many
    files were passed over, and why.

    Args:
        paths: one or several.
        any_ending: take a named file of any other ending, such as `train.en`, for text.

    Raises:
        FileNotFoundError: if a path or pattern matches no file; near names are offered.
        ValueError: if a named or matched file has an ending that cannot be read, or nothing is
            asked for.
        ImportError: if a file needs an extra that is not installed.
    """
    asked = [paths] if isinstance(paths, str | Path) else list(paths)
    if not asked:
        raise ValueError("no text: give at least one file, folder or glob")
    walk = _Walk(any_ending)
    found = [path for entry in asked for path in walk.files_of(Path(entry))]
    for path in found:
        if package := package_of(path):
            require_package(package, f"reading {path}")
    if walk.passed_over:
        warnings.warn(walk.note(len(found)), stacklevel=1)  # one place: said once a run
    return tuple(found)


@dataclass(slots=True)
class _Walk:
    """One search: what was seen so far, and what was passed over."""

    any_ending: bool
    passed_over: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Path] = field(default_factory=dict)
    seen: set[_Identity] = field(default_factory=set)

    def files_of(self, entry: Path) -> Iterator[Path]:
        """Yield the files of one path or pattern that were not there before."""
        if entry.is_dir():
            yield from self._of_folder(entry)
            return
        matched = [entry] if entry.exists() else sorted(map(Path, _glob(entry)))
        if not any(path.is_file() or path.is_dir() for path in matched):
            raise FileNotFoundError(f"no file matches {entry}{_near_names(entry)}")
        for path in matched:
            if path.is_dir():
                yield from self._below(path, {_identity(path)})
            elif path.is_file():
                self._require_readable(path)
                yield from self._once(path, is_counted=False)

    def note(self, num_files: int) -> str:
        """Return what was passed over, for the user."""
        parts = [
            f"{reason} {count:,} ({self.examples[reason]}{', ...' * (count > 1)})"
            for reason, count in self.passed_over.items()
        ]
        hint = f"; can be read: {shown_endings()}" if _OTHER in self.passed_over else ""
        total = sum(self.passed_over.values())
        return (
            f"{counted(num_files, 'file')} to read; passed over {total:,}: {', '.join(parts)}{hint}"
        )

    def _of_folder(self, folder: Path) -> Iterator[Path]:
        before = len(self.seen)
        yield from self._below(folder, {_identity(folder)})
        if len(self.seen) == before and not self.passed_over[_AGAIN]:
            raise FileNotFoundError(
                f"folder {folder} has no text: neither it nor its subfolders have a file ending in "
                f"{shown_endings()}{self._what_else(folder)}"
            )

    def _what_else(self, folder: Path) -> str:
        plain = self.examples.get(_OTHER)
        if plain is None or plain.suffix:
            return ""
        return f"; to read files without an ending as text, name them: '{folder}/**/{plain.name}'"

    def _below(self, folder: Path, seen_folders: set[_Identity]) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                self._pass_over(path, _HIDDEN)
            elif path.is_dir():
                if _identity(path) in seen_folders:
                    self._pass_over(path, _AGAIN)
                    continue
                seen_folders.add(_identity(path))
                yield from self._below(path, seen_folders)
            elif not path.is_file():
                self._pass_over(path, _BROKEN if path.is_symlink() else _OTHER)
            elif format_of(path) is None:
                self._pass_over(path, _OTHER)
            else:
                yield from self._once(path, is_counted=True)

    def _once(self, path: Path, *, is_counted: bool) -> Iterator[Path]:
        if _identity(path) in self.seen:
            if is_counted:
                self._pass_over(path, _AGAIN)
            return
        self.seen.add(_identity(path))
        yield path

    def _pass_over(self, path: Path, reason: str) -> None:
        self.passed_over[reason] += 1
        self.examples.setdefault(reason, path)

    def _require_readable(self, path: Path) -> None:
        if format_of(path) is not None or self.any_ending:
            return
        inner = path.with_suffix("") if compression_of(path) else path
        if inner.suffix:
            raise ValueError(
                f"cannot read {path}: its name must end in {shown_endings()}, or have no ending, "
                "which means text"
            )


def _identity(path: Path) -> _Identity:
    facts = path.stat()
    return facts.st_dev, facts.st_ino


def _glob(entry: Path) -> list[str]:
    return glob.glob(str(entry), recursive=True)


def _near_names(entry: Path) -> str:
    if not entry.parent.is_dir():
        return f" (there is no folder {entry.parent})"
    names = [path.name for path in entry.parent.iterdir()]
    near = difflib.get_close_matches(entry.name, names, n=3)
    return f"; similar names in {entry.parent}: {', '.join(near)}" if near else ""
