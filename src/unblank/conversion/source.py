"""A published checkpoint opened for reading: its files, tensors and settings, whatever the layout.

Knows files and containers, not model families: what the keys mean is `detect` and the families'
business. Tensors are memory-mapped; `Source.release` gives their pages back once copied.
"""

import ctypes
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from unblank.conversion.torch_files import read_torch_file
from unblank.plurals import counted
from unblank.untrusted.folder import CONFIG_NAME, require_kinds
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.links import refuse_links_out, require_inside, require_plain_name
from unblank.untrusted.weight_files import INDEX_NAME, opened_weights, places_in_index

__all__ = ["BLOCK_BYTES", "Source", "copy_mapped", "open_source"]

_TRACKERS = ("latest_checkpointed_iteration.txt", "latest")
_RANK_FILES = "mp_rank_*_model_states.pt"
_INDEXES = (INDEX_NAME, "pytorch_model.bin.index.json")
BLOCK_BYTES = 4 * 2**20
"""Bytes of a mapped file that are read before their pages are released."""
_MEMORY_MAPS = Path("/proc/self/maps")
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
_STATE_DICT_KEYS = ("module", "weights", "model", "state_dict")
"""Keys under which training programs store the tensors; else the file itself is the state dict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An opened checkpoint.

    Attributes:
        path: as the user gave it.
        folder: where the files lie that belong to the weights: `dict.txt`, `spm.model`, ...
        files: of the weights; model-parallel ranks in their order.
        state_dicts: original key to memory-mapped tensor, one dictionary a rank (most have one).
        records: what the first file holds beside its tensors: `args`, `cfg`, `iteration`, ...
        settings: `config.json` of a transformers folder, else None.
        evidence: how the files were found, as lines for the user.
    """

    path: Path
    folder: Path
    files: tuple[Path, ...]
    state_dicts: tuple[dict[str, Tensor], ...]
    records: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] | None = None
    evidence: tuple[str, ...] = ()

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The state dict of the only rank.

        Raises:
            ValueError: there are several, and this family is not known to be split.
        """
        if len(self.state_dicts) != 1:
            raise ValueError(
                f"{self.path} is split into {len(self.state_dicts)} model-parallel pieces, which "
                "only GLM checkpoints are"
            )
        return self.state_dicts[0]

    def settings_nearby(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield each `config.json` that may tell what no tensor shows, with its path.

        It lies with the weights, at the path that was given, or beside it. Whether it is about
        these weights is for the reader to check.
        """
        for folder in dict.fromkeys((self.folder, self.path, self.path.parent)):
            path = folder / CONFIG_NAME
            if path.is_file():
                yield path, read_json_object(path)

    def release(self) -> None:
        """Let the system forget the pages of all mapped tensors; reading brings them back."""
        _forget_pages(self.files)


def open_source(path: Path) -> Source:
    """Return the checkpoint at `path`, found by what lies there.

    Args:
        path: a weights file; a folder with a tracker file and
            `<tag>/mp_rank_XX_model_states.pt`, or that `<tag>`; a transformers folder; or a folder
            with one weights file.

    Raises:
        FileNotFoundError: nothing there, nothing that looks like a checkpoint, or a missing piece.
        ValueError: damaged or hostile files, or several checkpoints to choose from.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix == ".zip":
            raise ValueError(f"{path} is an archive: unpack it and give the folder")
        if path.match(_RANK_FILES):
            return _open_ranks(path, path.parent, ())
        return _open_files(path, [path], (f"weights in {path.name}",), None)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} does not exist: give a checkpoint file or folder")
    refuse_links_out(path)
    for name in _TRACKERS:
        if (path / name).is_file():
            return _open_tracked(path, name)
    if any(path.glob(_RANK_FILES)):
        return _open_ranks(path, path, ())
    if (path / CONFIG_NAME).is_file():
        return _open_transformers(path)
    return _open_single(path)


def copy_mapped(target: Tensor, tensor: Tensor, release: Callable[[], None]) -> None:
    """Copy a mapped tensor block by block, so that its pages never lie in memory all at once.

    Args:
        target: of the same shape, in memory of its own; its type may be another.
        tensor: mapped.
        release: of the source.
    """
    if not tensor.dim():
        target.copy_(tensor)
        return
    row_bytes = max(tensor.nbytes // max(len(tensor), 1), 1)
    rows = max(BLOCK_BYTES // row_bytes, 1)
    for start in range(0, len(tensor), rows):
        target[start : start + rows].copy_(tensor[start : start + rows])
        # Each release reads the list of mappings, which small tensors are not worth.
        if tensor.nbytes > BLOCK_BYTES:
            release()


def _open_tracked(path: Path, tracker: str) -> Source:
    tag = (path / tracker).read_text(encoding="utf-8", errors="replace").strip()
    folder = path / require_plain_name(tag, str(path / tracker), "folder")
    require_inside(folder, path)
    if not any(folder.glob(_RANK_FILES)) and folder.name.isdigit():
        folder = (
            path / f"iter_{int(tag):07d}" if (path / f"iter_{int(tag):07d}").is_dir() else folder
        )
    return _open_ranks(path, folder, (f"{tracker} names {tag}",))


def _open_ranks(path: Path, folder: Path, evidence: tuple[str, ...]) -> Source:
    refuse_links_out(folder)
    files = sorted(folder.glob(_RANK_FILES))
    if not files:
        raise FileNotFoundError(
            f"there is no {_RANK_FILES} in {folder}: a GLM checkpoint is a folder with "
            f"{_TRACKERS[0]} and <tag>/mp_rank_00_model_states.pt"
        )
    expected = [f"mp_rank_{rank:02d}_model_states.pt" for rank in range(len(files))]
    missing = sorted(set(expected) - {file.name for file in files})
    if missing:
        raise FileNotFoundError(
            f"{folder} has {', '.join(file.name for file in files)} but not {', '.join(missing)}: "
            "all ranks are needed"
        )
    found = f"{counted(len(files), 'model-parallel piece')} in {folder.name}"
    return _open_files(path, files, (*evidence, found), None, folder=folder, are_ranks=True)


def _open_transformers(path: Path) -> Source:
    settings = read_json_object(path / CONFIG_NAME)
    require_kinds(path / CONFIG_NAME, settings)
    places = next(filter(None, (places_in_index(path / name) for name in _INDEXES)), {})
    files = sorted({path / name for name in places.values()})
    # A checkpoint of a run also holds the state of the optimiser: its weights come first.
    for pattern in ("model*.safetensors", "*.safetensors", "pytorch_model*.bin"):
        files = files or sorted(path.glob(pattern))
    if not files:
        raise FileNotFoundError(
            f"{path} has config.json but no weights: neither *.safetensors nor pytorch_model*.bin"
        )
    model_type = settings.get("model_type")
    where = f"weights in {counted(len(files), 'file')}"
    evidence = (f"config.json of type {model_type!r}", where)
    source = _open_files(path, files, evidence, settings)
    if absent := sorted(places.keys() - source.tensors.keys()):
        raise ValueError(
            f"the index of {path} names {absent[0]} ({counted(len(absent), 'such weight')}), which "
            "is in none of its files: they are not of one checkpoint, fetch them again"
        )
    return source


def _open_single(path: Path) -> Source:
    files = sorted(file for file in path.iterdir() if file.suffix in _WEIGHT_SUFFIXES)
    if not files:
        found = ", ".join(sorted(file.name for file in path.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(
            f"{path} is not a checkpoint folder: found {found}; expected {_TRACKERS[0]}, "
            f"{_RANK_FILES}, config.json, or one file ending in {', '.join(_WEIGHT_SUFFIXES)}"
        )
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ValueError(f"{path} has several checkpoints ({names}): give one of these files")
    return _open_files(path, files, (f"weights in {files[0].name}",), None)


def _open_files(
    path: Path,
    files: list[Path],
    evidence: tuple[str, ...],
    settings: dict[str, Any] | None,
    *,
    folder: Path | None = None,
    are_ranks: bool = False,
) -> Source:
    opened = [_open_file(file) for file in files]
    state_dicts = [state_dict for state_dict, _ in opened]
    if not are_ranks:
        state_dicts = [_joined(files, state_dicts)]
    return Source(
        path=path,
        folder=folder or files[0].parent,
        files=tuple(files),
        state_dicts=tuple(state_dicts),
        records=opened[0][1],
        settings=settings,
        evidence=evidence,
    )


def _open_file(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if file.suffix == ".safetensors":
        with opened_weights(file) as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}, {}  # noqa: SIM118
    content = read_torch_file(file)
    name = next((key for key in _STATE_DICT_KEYS if isinstance(content.get(key), dict)), None)
    state_dict = content if name is None else content[name]
    tensors = {
        key: value
        for key, value in state_dict.items()
        if isinstance(value, Tensor) and isinstance(key, str)
    }
    others = {key: value for key, value in state_dict.items() if key not in tensors}
    if not tensors or (name is not None and others):
        found = ", ".join(map(str, others)) or "nothing"
        raise ValueError(f"{file} should contain named tensors, but contains {found}")
    rest = others if name is None else {k: value for k, value in content.items() if k != name}
    return tensors, rest


def _joined(files: list[Path], state_dicts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    joined: dict[str, Tensor] = {}
    for file, state_dict in zip(files, state_dicts, strict=True):
        twice = next((key for key in state_dict if key in joined), None)
        if twice is not None:
            raise ValueError(f"{twice} is in {file.name} and in another file of {file.parent}")
        joined |= state_dict
    return joined


def _forget_pages(files: Iterable[Path]) -> None:
    """Advise the kernel to drop the pages of mapped files; without Linux's list, do nothing.

    Nobody writes to these private mappings, so a dropped page is simply read again when needed.
    """
    if not _MEMORY_MAPS.is_file():
        return
    names = {str(file.resolve()) for file in files}
    libc = ctypes.CDLL(None)
    for line in _MEMORY_MAPS.read_text(encoding="utf-8").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] in names:
            start, end = (int(address, 16) for address in fields[0].split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)
