"""Runs of a few steps draw few samples at a time, and so come to the end of a window, too."""

import pytest


def pack_few(patch: pytest.MonkeyPatch) -> None:
    """Pack some 8 rows together instead of 64: a small run reads fewer than that."""
    patch.setattr("unblank.data.loader._ROWS_PER_WINDOW", 8)
    patch.setattr("unblank.data.loader._SMALLEST_WINDOW", 8)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack few samples together in every test."""
    pack_few(monkeypatch)
