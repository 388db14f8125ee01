"""Runs of a few steps draw few samples at a time, and so come to the end of a window, too."""

from collections.abc import Iterator

import pytest


def pack_few(patch: pytest.MonkeyPatch) -> None:
    """Pack some 8 rows together instead of 64: a small run reads fewer than that."""
    patch.setattr("unblank.data.loader._ROWS_PER_WINDOW", 8)
    patch.setattr("unblank.data.loader._SMALLEST_WINDOW", 8)


@pytest.fixture(autouse=True)
def small_windows() -> Iterator[None]:
    """Pack few samples together during every test, also after it has called `monkeypatch.undo`."""
    with pytest.MonkeyPatch.context() as patch:
        pack_few(patch)
        yield
