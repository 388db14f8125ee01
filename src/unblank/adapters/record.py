"""The record of an adapter: which base model it belongs to, and how that is checked.

`adapter.json` names the base model's folder and a fingerprint of its weights: trained prompts and
adapters mean nothing before other weights. Folders written by PEFT alone have no fingerprint.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from os.path import isdir, isfile
from pathlib import Path
from typing import Literal, Self, get_args

import torch

from unblank.integrity import ADAPTER_RECORD_NAME, file_facts, read_record, seal, write_atomically
from unblank.untrusted.adapter import PEFT_CONFIG_NAME
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.weight_files import opened_weights
from unblank.version import __version__

__all__ = [
    "AdapterKind",
    "AdapterRecord",
    "fingerprint",
    "has_adapter",
    "weights_identity",
]

_EDITABLE = ("base_model",)
"""What a person may write into the record: where the base model has been moved."""

AdapterKind = Literal["lora", "prompt", "deep-prompt"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterRecord:
    """The content of `adapter.json`."""

    kind: AdapterKind
    """What was trained."""
    base_model: str
    """Folder of the base model."""
    base_fingerprint: str | None
    """Fingerprint of its weights, see `fingerprint`; None if unknown."""
    num_parameters: int
    """Number of trained values in the folder."""
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    """How it was made, for readers."""
    unblank: str = __version__
    """Version of the library that wrote it."""

    def write(self, folder: Path) -> None:
        """Write the record into a folder."""
        write_atomically(folder / ADAPTER_RECORD_NAME, seal(asdict(self), editable=_EDITABLE))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the record of a folder, or what PEFT's own configuration says.

        Raises:
            ValueError: a record that is damaged, or names no base model.
        """
        path = folder / ADAPTER_RECORD_NAME
        if not path.is_file():
            return cls._of_peft(folder / PEFT_CONFIG_NAME)
        try:
            record = cls(**read_record(path, editable=_EDITABLE))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}): copy or save the adapter again"
            ) from error
        is_told = isinstance(record.base_model, str) and isinstance(record.settings, Mapping)
        is_told = is_told and isinstance(record.base_fingerprint, str | None)
        if (
            record.kind not in get_args(AdapterKind)
            or not is_told
            or type(record.num_parameters) is not int
        ):
            raise ValueError(
                f"{path} is damaged: kind should be one of {', '.join(get_args(AdapterKind))}, "
                "base_model the path of a folder, base_fingerprint a hash, num_parameters a whole "
                "number and settings a mapping"
            )
        return record

    @classmethod
    def _of_peft(cls, path: Path) -> Self:
        base = read_json_object(path).get("base_model_name_or_path")
        if not base or not isinstance(base, str):
            raise ValueError(f"{path} names no base model: set base_model_name_or_path in it")
        return cls(kind="lora", base_model=base, base_fingerprint=None, num_parameters=0)

    def require_base(self, folder: Path) -> Path:
        """Return the folder of the base model, unchanged since the adapter was trained.

        Args:
            folder: of the adapter, for messages.

        Raises:
            FileNotFoundError: the base model is not there.
            ValueError: its weights are others.
        """
        base = Path(self.base_model)
        has_record = (folder / ADAPTER_RECORD_NAME).is_file()
        name = folder / (ADAPTER_RECORD_NAME if has_record else PEFT_CONFIG_NAME)
        if not isdir(base):  # also for what no file system could name
            raise FileNotFoundError(
                f"{folder} needs its base model {base}, which is missing: restore it, or write its "
                f"new path into {name}"
            )
        if self.base_fingerprint not in (None, fingerprint(base)):
            raise ValueError(
                f"{folder} was trained with other weights than those in {base} (their fingerprints "
                f"differ): write the path of the right base model into {name}"
            )
        return base


def has_adapter(folder: Path) -> bool:
    """Whether a folder holds few trained parameters of a base model elsewhere."""
    return any(isfile(folder / name) for name in (ADAPTER_RECORD_NAME, PEFT_CONFIG_NAME))


def fingerprint(folder: Path) -> str:
    """Return a hash of a model folder's weights that is read in a moment.

    It covers name, type and shape of every tensor and the numbers of all vectors (biases and
    LayerNorms), which any training changes; the matrices of a large model would take minutes.

    Raises:
        FileNotFoundError: no weights there.
    """
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"{folder} has no weights: it has no .safetensors file")
    digest = hashlib.sha256()
    for path in paths:
        with opened_weights(path) as file:
            for name in sorted(file.keys()):
                entry = file.get_slice(name)
                digest.update(f"{name} {entry.get_dtype()} {entry.get_shape()}\n".encode())
                if len(entry.get_shape()) == 1:
                    digest.update(file.get_tensor(name).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def weights_identity(folder: Path) -> str:
    """Return a hash of the weights that a folder stands for, those of an adapter's base included.

    Of a whole model it is the `fingerprint`. An adapter is small, and may have matrices only: all
    of its numbers count.

    Raises:
        FileNotFoundError: no weights, or no base model.
        ValueError: the record of an adapter is damaged.
    """
    if not has_adapter(folder):
        return fingerprint(folder)
    record = AdapterRecord.read(folder)
    digest = hashlib.sha256(
        (record.base_fingerprint or fingerprint(Path(record.base_model))).encode()
    )
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"{path.name} {file_facts(path)['sha256']}\n".encode())
    return digest.hexdigest()
