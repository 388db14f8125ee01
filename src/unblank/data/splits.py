"""Files of a split in a folder of data sets, in the spellings that data sets use."""

from pathlib import Path

__all__ = ["find_split"]

_SPLIT_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev", "sentences"),
    "test": ("test",),
}
"""Names of the splits, as file names begin with them; sets for infilling call the official
validation split `sentences`."""


def find_split(root: Path, pattern: str, split: str) -> tuple[Path, ...]:
    """Return the files of a split.

    Args:
        root: folder of the data sets.
        pattern: path below it without the ending, where `{split}` stands for the split.
        split: train, validation or test, each in its usual spellings, or the very name.

    Raises:
        FileNotFoundError: if no file matches; the message names those that are there.
        ValueError: if the spelling fits several files of a data set.
    """
    for name in (split, *_SPLIT_NAMES.get(split, ())):
        for more in ("", "_*"):
            stem = pattern.replace("{split}", name + more)
            found = [
                path
                for ending in (".jsonl*", ".txt*", ".tsv*")
                for path in sorted(root.glob(stem + ending))
            ]
            if found and ("*" in pattern or len(found) == 1):
                return tuple(found)
            if found:
                names = ", ".join(path.name for path in found)
                raise ValueError(
                    f"{split} matches {names} in {found[0].parent}: choose one, such as "
                    f"{found[0].name.partition('.')[0]}"
                )
    folder = (root / pattern).parent
    there = sorted(path.name for path in folder.glob("*.*")) if folder.is_dir() else []
    raise FileNotFoundError(
        f"no files for {pattern.replace('{split}', split)} in {root}"
        + (f"; there are {', '.join(there)}" if there else f": {folder} is not a folder of data")
    )
