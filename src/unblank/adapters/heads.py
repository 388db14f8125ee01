"""An adapter that was trained under a head does not open on a model without that head."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

__all__ = ["require_head"]


def require_head(model: Any, folder: Path, lacking: Collection[str]) -> None:
    """Raise ValueError if a model lacks parts of the head that an adapter belongs to.

    Args:
        model: the base model.
        folder: of the adapter.
        lacking: names of the parts of the head that the model does not have.
    """
    if lacking:
        raise ValueError(
            f"{folder} was trained with a head ({', '.join(sorted(lacking))}) that a "
            f"{type(model).__name__} does not have: use `unblank predict`, or `unblank "
            "evaluate --suite classifier`"
        )
