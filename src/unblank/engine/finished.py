"""The finished model in the folder of its run: all files at once, then provenance and card."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unblank.atomic_folders import put_into_folder
from unblank.installed import installed_versions
from unblank.integrity import (
    CALIBRATION_NAME,
    PROVENANCE_NAME,
    facts_of_files,
    seal,
    write_atomically,
)
from unblank.model_card import write_card
from unblank.version import __version__

__all__ = ["origin", "published_model"]

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


def origin(command: str) -> dict[str, Any]:
    """Return what every provenance begins with: the command, the time and the versions.

    Args:
        command: that makes the model, for example `pretrain`.
    """
    return {
        "made_by": f"unblank {__version__} {command}",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": installed_versions(_PACKAGES),
    }


@contextmanager
def published_model(output_dir: Path, provenance: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty folder for a model that gets into the folder of its run after the block.

    Args:
        output_dir: the folder of the run.
        provenance: written beside it, with size and hash of every file; the card says it in short.
    """
    with put_into_folder(output_dir) as staging:
        yield staging
        facts = facts_of_files(staging)
        # Of the weights that lay here before; the new provenance follows the new weights.
        for name in (PROVENANCE_NAME, CALIBRATION_NAME):
            (output_dir / name).unlink(missing_ok=True)
    write_atomically(output_dir / PROVENANCE_NAME, seal({**provenance, "files": facts}))
    write_card(output_dir, provenance)
