"""The calibration in the folder of a model or an adapter, if it belongs to its weights."""

from pathlib import Path

from unblank.adapters.record import weights_identity
from unblank.calibration.record import Calibration, read_calibration
from unblank.integrity import CALIBRATION_NAME

__all__ = ["calibration_of"]


def calibration_of(folder: Path) -> Calibration | None:
    """Return the calibration in a folder; None if there is none. Weights are read only for it.

    Raises:
        ValueError: it is damaged, or was learned from other weights.
        FileNotFoundError: no weights are there, or no base model.
    """
    if not (folder / CALIBRATION_NAME).is_file():
        return None
    return read_calibration(folder, weights_identity(folder))
