"""Runs of tests draw no loss curve, unless a test looks at it: it takes longer than they do."""

import pytest


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no loss curve at every checkpoint, unless the test asks for `pictures`."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("unblank.engine.saving.draw_losses", lambda folder: None)


@pytest.fixture
def pictures() -> None:
    """Draw the loss curve."""
