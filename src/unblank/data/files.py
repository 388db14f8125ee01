"""The files that paths, folders and patterns stand for: one walk with one rule for every command.

A file is read once, for the first entry that names it. What a folder holds besides is passed over
and counted in a note, never in silence.
"""

import difflib
import glob
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unblank.data.formats import compression_of, format_of, package_of, shown_endings
from unblank.data.remote import RemotePath, data_path, remote_files
from unblank.extras import require_package
from unblank.path_arguments import require_path_text
from unblank.plurals import counted

__all__ = ["FileSearch", "files_of_entries", "find_files"]

_Identity = tuple[int, int] | str
"""Device and number of a file, whatever its name; its URL."""

_Read = tuple[_Identity, tuple[str, ...]]
"""A file, and the fields that are read of it."""

_HIDDEN = "hidden"
_AGAIN = "the same file again"
_BROKEN = "broken links"
_SPECIAL = "pipes and devices"
_OTHER = "other endings"
_ABOUT = "descriptions of a data set"

_SAVED = ("state.json", "dataset_info.json")
"""What `datasets.save_to_disk` writes beside the data."""


def find_files(
    paths: str | Path | Sequence[str | Path], *, any_ending: bool = False
) -> tuple[Path, ...]:
    """Return the files that paths, folders and glob patterns stand for, each once.

    A folder stands for all readable files in it and its subfolders, in sorted order. Names that
    begin with a dot are passed over, links are followed, and no file is returned twice, by
    whatever names. A file without an ending is text where it is named or matched by a pattern; in
    a folder it is passed over. `**` in a pattern crosses folders. A URL stands for a file, a folder
    or a pattern in the same way (`unblank.data.remote`). A note (`warnings`) says how many
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
    search = FileSearch(any_ending=any_ending)
    found = [path for entry in asked for path in search.new_files_of(entry)]
    search.warn()
    return tuple(found)


def files_of_entries(entries: Sequence[str | Path]) -> list[tuple[Path, ...]]:
    """Return the files of entries that are kept apart; a file belongs to the first that names it.

    Raises:
        FileNotFoundError: as for `find_files`.
        ValueError: as for `find_files`, or an entry has no file of its own.
    """
    search = FileSearch()
    found = [search.files_of(entry) for entry in entries]
    search.warn()
    return found


@dataclass(slots=True, kw_only=True)
class FileSearch:
    """A search for the files of several entries: what was found so far, and what was passed over.

    Attributes:
        any_ending: as for `find_files`.
    """

    any_ending: bool = False
    _passed_over: Counter[str] = field(default_factory=Counter)
    _examples: dict[str, Path] = field(default_factory=dict)
    _seen: set[_Read] = field(default_factory=set)

    def files_of(self, entry: str | Path, fields: tuple[str, ...] = ()) -> tuple[Path, ...]:
        """Return the files of an entry that no entry before it has.

        Args:
            entry: a path or a pattern.
            fields: that are read of them; the same file with other fields is something else.

        Raises:
            FileNotFoundError: as for `find_files`.
            ValueError: as for `find_files`, or all of its files are read for other entries.
        """
        found = self.new_files_of(entry, fields)
        if not found:
            raise ValueError(_nothing_new(entry))
        return found

    def new_files_of(self, entry: str | Path, fields: tuple[str, ...] = ()) -> tuple[Path, ...]:
        """Return the same, perhaps none; arguments and errors as for `files_of`."""
        require_path_text(str(entry), "a path of data")
        return tuple(self._files_of(data_path(entry), fields))

    def take(self, entry: str, paths: Sequence[Path], fields: tuple[str, ...]) -> None:
        """Note that an entry reads files together, such as the two sides of a pair.

        Raises:
            ValueError: an entry before it reads the same.
        """
        first, *others = map(_identity, paths)
        read = (first, (*fields, *map(str, others)))
        if read in self._seen:
            raise ValueError(_nothing_new(entry))
        self._seen.add(read)

    def warn(self) -> None:
        """Warn of what was passed over, if anything was."""
        if self._passed_over:
            note = self._note(len(self._seen))
            warnings.warn(note, stacklevel=1)  # the same place, so that a run shows it once

    def _files_of(self, entry: Path, fields: tuple[str, ...]) -> Iterator[Path]:
        if isinstance(entry, RemotePath):
            yield from self._of_url(entry, fields)
            return
        if entry.is_dir():
            yield from self._of_folder(entry, fields)
            return
        matched = (
            [entry] if entry.exists() else sorted(map(Path, glob.glob(str(entry), recursive=True)))
        )
        special = [path for path in matched if _is_special(path)]
        if special and special == matched:
            raise ValueError(
                f"{special[0]} is a pipe or a device, which cannot be read twice: write its "
                "content to a file, and give that"
            )
        if not any(path.is_file() or path.is_dir() for path in matched):
            raise FileNotFoundError(
                _broken_link(entry) or f"no file matches {entry}{_near_names(entry)}"
            )
        for path in matched:
            if path.is_dir():
                yield from self._below(path, {_identity(path)}, fields)
            elif path.is_file():
                self._require_readable(path)
                yield from self._once(path, fields)
            else:
                self._pass_over(path, _SPECIAL if path in special else _BROKEN)

    def _of_url(self, entry: RemotePath, fields: tuple[str, ...]) -> Iterator[Path]:
        before = len(self._seen) + self._passed_over[_AGAIN]
        for path, is_named in remote_files(entry):
            if is_named:
                self._require_readable(path)
                yield from self._once(path, fields)
            elif path.name.startswith("."):
                self._pass_over(path, _HIDDEN)
            elif format_of(path) is None:
                self._pass_over(path, _OTHER)
            else:
                yield from self._once(path, fields)
        if len(self._seen) + self._passed_over[_AGAIN] == before:
            raise FileNotFoundError(f"{entry} has no file ending in {shown_endings()}")

    def _note(self, num_files: int) -> str:
        parts = [
            f"{reason} {count:,} ({self._examples[reason]}{', ...' * (count > 1)})"
            for reason, count in self._passed_over.items()
        ]
        hint = f"; can be read: {shown_endings()}" if _OTHER in self._passed_over else ""
        total = sum(self._passed_over.values())
        return (
            f"{counted(num_files, 'file')} to read; passed over {total:,}: {', '.join(parts)}{hint}"
        )

    def _of_folder(self, folder: Path, fields: tuple[str, ...]) -> Iterator[Path]:
        before = len(self._seen) + self._passed_over[_AGAIN]
        yield from self._below(folder, {_identity(folder)}, fields)
        if len(self._seen) + self._passed_over[_AGAIN] == before:
            raise FileNotFoundError(
                f"folder {folder} has no text: neither it nor its subfolders have a file ending in "
                f"{shown_endings()}{self._what_else(folder)}"
            )

    def _what_else(self, folder: Path) -> str:
        plain = self._examples.get(_OTHER)
        if plain is None or plain.suffix:
            return ""
        return f"; to read files without an ending as text, name them: '{folder}/**/{plain.name}'"

    def _below(
        self, folder: Path, seen_folders: set[_Identity], fields: tuple[str, ...]
    ) -> Iterator[Path]:
        about = _SAVED if all((folder / name).is_file() for name in _SAVED) else ()
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                self._pass_over(path, _HIDDEN)
            elif path.name in about or path.name == "dataset_dict.json":
                self._pass_over(path, _ABOUT)
            elif path.is_dir():
                if _identity(path) in seen_folders:
                    self._pass_over(path, _AGAIN)
                    continue
                seen_folders.add(_identity(path))
                yield from self._below(path, seen_folders, fields)
            elif not path.is_file():
                self._pass_over(path, _SPECIAL if path.exists() else _BROKEN)
            elif format_of(path) is None:
                self._pass_over(path, _OTHER)
            else:
                yield from self._once(path, fields)

    def _once(self, path: Path, fields: tuple[str, ...]) -> Iterator[Path]:
        read = (_identity(path), fields)
        if read in self._seen:
            self._pass_over(path, _AGAIN)
            return
        if package := package_of(path):
            require_package(package, f"reading {path}")
        self._seen.add(read)
        yield path

    def _pass_over(self, path: Path, reason: str) -> None:
        self._passed_over[reason] += 1
        self._examples.setdefault(reason, path)

    def _require_readable(self, path: Path) -> None:
        if format_of(path) is not None or self.any_ending:
            return
        inner = path.with_suffix("") if compression_of(path) else path
        if inner.suffix:
            raise ValueError(
                f"cannot read {path}: its name must end in {shown_endings()}, or have no ending, "
                "which means text"
            )


def _nothing_new(entry: str | Path) -> str:
    return f"{entry} has only files that another entry has, and each is read once: leave it out"


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _identity(path: Path) -> _Identity:
    if isinstance(path, RemotePath):
        return str(path)
    facts = path.stat()
    return facts.st_dev, facts.st_ino


def _broken_link(entry: Path) -> str:
    """Say where a link leads, if that is nowhere."""
    return (
        f"{entry} is a link to {entry.readlink()}, which is not there: put the file there, or give "
        "another"
        if entry.is_symlink()
        else ""
    )


def _near_names(entry: Path) -> str:
    if not entry.parent.is_dir():
        return f" (there is no folder {entry.parent})"
    names = [path.name for path in entry.parent.iterdir()]
    near = difflib.get_close_matches(entry.name, names, n=3)
    return f"; similar names in {entry.parent}: {', '.join(near)}" if near else ""
