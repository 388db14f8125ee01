"""Nothing in a folder leads out of it: neither names that its files give, nor symbolic links.

The folder itself may be a link. A snapshot in the cache of the hub is made of links into the
`blobs` of its repository, which belong to it.
"""

from pathlib import Path

from unblank.integrity import SHARDED_NAME

__all__ = ["refuse_links_out", "require_inside", "require_plain_name"]

_READ_FOLDERS = ("additional_chat_templates", SHARDED_NAME)
"""Folders inside a model folder whose files are read as well."""


def refuse_links_out(folder: Path) -> None:
    """Raise if a file of a folder is a link to somewhere else.

    Folders of the folder, such as the checkpoints of a run, are opened on their own, and may lie
    on another disk.

    Args:
        folder: of a model, an adapter or a checkpoint; one that does not exist holds no links.

    Raises:
        ValueError: such a link, by name.
    """
    if not folder.is_dir():
        return
    read = [folder / name for name in _READ_FOLDERS if (folder / name).is_dir()]
    files = [path for path in sorted(folder.iterdir()) if not path.is_dir()]
    for path in (*files, *read, *(file for inner in read for file in sorted(inner.iterdir()))):
        require_inside(path, folder)


def require_plain_name(name: str, where: str, kind: str = "file") -> str:
    """Return a name that a file gives, if it is that of a file beside it.

    Raises:
        ValueError: a name that could lead elsewhere.
    """
    if name in ("", ".", "..") or Path(name).name != name:
        raise ValueError(f"{where} names {name[:60]!r}, which is not a {kind} beside it")
    return name


def require_inside(path: Path, folder: Path) -> None:
    """Raise if a file or folder is a link that leaves the folder in which it lies.

    Args:
        path: in the folder, or deeper in it.
        folder: of a model, an adapter or a checkpoint; it may be a link itself.

    Raises:
        ValueError: the link leads elsewhere, or nowhere.
    """
    if not path.is_symlink():
        return
    try:
        target = path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        raise _leads_nowhere(path) from error
    if not any(target.is_relative_to(root) for root in _allowed_roots(folder)):
        raise ValueError(
            f"{path} is a symbolic link to {target}, which is outside its folder: copy what it "
            "leads to there"
        )
    if not target.exists():
        raise _leads_nowhere(path)


def _leads_nowhere(path: Path) -> ValueError:
    return ValueError(
        f"{path} is a symbolic link that leads nowhere: put the file that it should lead to there"
    )


def _allowed_roots(folder: Path) -> list[Path]:
    resolved = folder.resolve()
    for parent in resolved.parents:
        if parent.name == "snapshots":
            return [resolved, parent.parent / "blobs"]
    return [resolved]
