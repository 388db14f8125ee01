"""A real server with two tiny models, and a real browser."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from served_toys import toy_translator
from tiny_glms import task_glm

from unblank.adapters.record import weights_identity
from unblank.calibration.maps import JointTemperature
from unblank.calibration.record import CalibratedOn, Calibration, FillCalibration

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
SCREENSHOTS = os.environ.get("UNBLANK_SCREENSHOTS")
"""Folder for pictures of the page, made with $UNBLANK_PLAYGROUND_MODEL where that is set."""


def pytest_collection_modifyitems(items):
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.slow)
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium on this machine"))


def readable_glm():
    """Return a GLM that writes whole words, so that fills differ when they are read."""
    return task_glm(kind="wordpiece", max_positions=160)


@pytest.fixture(scope="session")
def toy_result():
    """Give what the library itself fills with the model `toy`."""
    return readable_glm().fill


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Give the address of a server with a GLM `toy`, `sure` (calibrated) and a translator `de`."""
    folder = tmp_path_factory.mktemp("served")
    for name, made in (("toy", readable_glm()), ("de", toy_translator())):
        made.model.save_pretrained(folder / name)
        made.tokenizer.save_pretrained(folder / name)
    sure = folder / "sure"
    shutil.copytree(folder / "toy", sure)
    of_fills = FillCalibration(JointTemperature(2.0), CalibratedOn(
        file="known.txt", num_fitted=30, num_measured=30, error_before=0.2, error_after=0.1,
    ))  # fmt: skip
    Calibration(weights_identity(sure), of_fills).write(sure)
    blanks = os.environ.get("UNBLANK_PLAYGROUND_MODEL", str(folder / "toy"))
    command = [sys.executable, "-m", "unblank", "serve", f"{blanks}=toy", f"{folder / 'de'}=de"]
    command.append(f"{sure}=sure")
    process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    yield re.search(r"http://\S+", line)[0]
    process.terminate()
    process.wait(60)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        playwright.expect.set_options(timeout=20_000)
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """Give the page, opened; whatever the console says of errors fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    errors = []
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.expected_errors = []
    page.goto(server)
    page.wait_for_selector("#view tbody tr")
    yield page
    context.close()
    unexpected = [one for one in errors if not any(part in one for part in page.expected_errors)]
    assert not unexpected


@pytest.fixture
def take_picture():
    def take(page, name):
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / name)

    return take
