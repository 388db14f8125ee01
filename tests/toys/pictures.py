"""Tests draw no picture, unless they look at it: it takes longer than what it shows."""

from io import BytesIO
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no loss curve at every checkpoint, unless the test asks for `pictures`.

    Of all other pictures no pixel is drawn, which takes matplotlib half a second each.
    """
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", save_empty)
        monkeypatch.setattr("unblank.engine.saving.draw_losses", lambda folder: None)


@pytest.fixture(autouse=True)
def no_pair_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no scores, unless the test asks for `pictures`."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("unblank.evaluation.run.draw_pairs", lambda title, scores, path: True)
        monkeypatch.setattr("unblank.evaluation.run.draw_heat_maps", lambda *given, **more: True)


def save_empty(figure: object, target: Path | BytesIO, **options: object) -> None:
    """Write an empty file where matplotlib would write a picture."""
    if isinstance(target, Path):
        target.write_bytes(b"")
    else:
        target.write(b"")


@pytest.fixture
def pictures() -> None:
    """Draw pictures."""
